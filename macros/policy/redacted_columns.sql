{#- Columns of `int_events` that hold nothing of a raw field, and why. -#}
{% macro bookkeeping_columns() -%}
    {{ return({
        'tenant_key': 'the random pseudonym that the keyring gave the tenant',
        'unit_key': 'the user_key, else the anonymous_key',
        'occurred_at_rule': 'one of four words of our own',
        'source_format': 'one of the formats of the project',
        'landing_file': 'a hash of the whole file',
        'landing_row': 'a number that we gave',
    }) }}
{%- endmacro %}

{#- The field that each redacted column comes from: how `int_events_redacted` is written decides, not how columns are named. -#}
{% macro redacted_columns() -%}
    {%- set written = "(?s)[{][{] *(?:redact[(] *'([a-z_]+)'|allow_listed_json[(])(?:(?![{][{]).)*?[}][}] as ([a-z_]+)" -%}
    {%- set columns = {} -%}
    {%- for field, column in modules.re.findall(written, graph.nodes['model.quorum.int_events_redacted'].raw_code) -%}
        {%- do columns.update({column: field or 'properties'}) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{#- A column that reaches the tenant plane past the policy. -#}
{% macro refuse_unredacted_columns() -%}
    {%- if execute -%}
        {%- for column in graph.nodes['model.quorum.int_events'].columns -%}
            {%- if column not in redacted_columns() and column not in bookkeeping_columns() -%}
                {{ exceptions.raise_compiler_error(
                    'column ' ~ column ~ ' of int_events comes from no redact(...), nor is it listed in bookkeeping_columns'
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#- A mart that shows a column under its own name, of a field that is not for whoever a mart is published to. -#}
{% macro refuse_wide_audience(field, audience) -%}
    {%- for column, origin in redacted_columns().items() if origin == field and audience != 'published' -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1] == 'marts' -%}
            {%- if column in node.columns -%}
                {{ exceptions.raise_compiler_error(
                    node.name ~ ' shows ' ~ column ~ ', and field ' ~ field ~ ' is for the plane ' ~ audience
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{#- Whatever its audience is: the pseudonym of a tenant's user or account is for that tenant, and in no mart that others read too. -#}
{% macro refuse_shared_pseudonym(field, class) -%}
    {%- for column, origin in redacted_columns().items() if origin == field and class == 'identifier' -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.fqn[1] == 'marts' and node.fqn[2] != 'tenant' -%}
            {%- if column in node.columns -%}
                {{ exceptions.raise_compiler_error(node.name ~ ' shows ' ~ column ~ ', and pseudonyms are for their own tenant alone') }}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}
