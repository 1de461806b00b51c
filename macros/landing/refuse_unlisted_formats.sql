{#- dbt cannot list a folder, so a format that it was not told of would land and never be read. -#}
{% macro refuse_unlisted_formats() -%}
    {%- set nodes = graph.nodes.values() if execute else [] -%}
    {%- for node in nodes if node.resource_type == 'model' and node.fqn[1] == 'staging' -%}
        {%- if node.fqn[2] not in var('formats') -%}
            {{ exceptions.raise_compiler_error(
                'format ' ~ node.fqn[2] ~ ' has a staging model: add it to `formats` in dbt_project.yml'
            ) }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}
