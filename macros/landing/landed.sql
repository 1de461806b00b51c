{#- The rows of one raw format that landed in this batch, with one text column for each JSON path. Of a list of paths,
    the spellings of one field, the first that is there counts. -#}
{% macro landed(source_format, columns) -%}
    {%- do config(meta={'reads_line': columns}) -%}
    select
        landing_file,
        landing_row,
        source_format,
        folder_tenant,
        line,
        defect,
        fields is not null and (left(line, 1) = '{' or left(ltrim(line), 1) = '{') as is_object,
        {{- columns_of_paths('fields', columns) }}
    from (
        select
            *,
            {{ json_strings('line', paths_of(columns)) }} as fields
        from {{ source('landing', 'landing_work') }}
        where source_format = '{{ source_format }}'
    ) as parsed
{%- endmacro %}

{#- A relation with more columns, read from one of its columns: JSON that landed inside JSON, as an object or as a text. -#}
{% macro unpacked(relation, json, columns) -%}
    {%- do config(meta={'reads_' ~ json: columns}) -%}
    select
        *,
        {{- columns_of_paths(json ~ '_fields', columns) }}
    from (
        select
            *,
            {{ json_strings(json, paths_of(columns)) }} as {{ json }}_fields
        from {{ relation }}
    ) as parsed
{%- endmacro %}

{% macro paths_of(columns) -%}
    {%- set all = [] -%}
    {%- for paths in columns.values() -%}
        {%- do all.extend([paths] if paths is string else paths) -%}
    {%- endfor -%}
    {{ return(all) }}
{%- endmacro %}

{% macro columns_of_paths(fields, columns) -%}
    {%- set all = paths_of(columns) -%}
    {%- for column, paths in columns.items() %}
        {%- set spellings = [] -%}
        {%- for path in ([paths] if paths is string else paths) -%}
            {%- do spellings.append(text_or_null(element(fields, all.index(path) + 1))) -%}
        {%- endfor %}
        {{ spellings[0] if paths is string else 'coalesce(' ~ spellings | join(', ') ~ ')' }} as {{ column }}
        {{- ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
