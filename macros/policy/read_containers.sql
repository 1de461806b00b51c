{#- The JSON objects of a landed line in which a format's staging model reads, by path, and the prefix of their keys. -#}
{% macro read_containers(source_format) -%}
    {%- set containers = {'$': ''} -%}
    {%- set nodes = graph.nodes.values() if execute else [] -%}
    {%- for node in nodes if node.config.meta is defined and 'reads_line' in node.config.meta and node.fqn[2] == source_format -%}
        {%- for path in paths_of(node.config.meta['reads_line']) | sort -%}
            {%- set parent = modules.re.sub('[.]("[^"]*"|[^."]*)$', '', path) -%}
            {%- do containers.update({parent: modules.re.sub('^[$][.]?|"', '', parent) ~ ('.' if parent != '$' else '')}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(containers) }}
{%- endmacro %}
