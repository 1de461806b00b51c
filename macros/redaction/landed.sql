{#- The rows of one raw format that landed in this batch, with one text column for each JSON path. -#}
{% macro landed(source_format, columns) -%}
    select
        landing_file,
        landing_row,
        source_format,
        folder_tenant,
        line,
        defect,
        fields is not null and left(ltrim(line), 1) = '{' as is_object,
        {%- for column in columns %}
        nullif(trim({{ element('fields', loop.index) }}), '') as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            *,
            {{ json_strings('line', columns.values()) }} as fields
        from {{ source('landing', 'landing_rows') }}
        where source_format = '{{ source_format }}' and batch in (select batch from {{ source('landing', 'landing_batch') }})
    ) as parsed
{%- endmacro %}
