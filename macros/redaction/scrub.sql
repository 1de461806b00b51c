{% macro scrub(text) -%}
    cast(null as varchar)
{%- endmacro %}
