{% macro integer_division(dividend, divisor) -%}
    {{ return(adapter.dispatch('integer_division', 'quorum')(dividend, divisor)) }}
{%- endmacro %}

{% macro duckdb__integer_division(dividend, divisor) -%}
    (({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}

{#- A text as a double, NULL for what is no finite number below 10^15. -#}
{% macro finite_number(text) -%}
    {{ return(adapter.dispatch('finite_number', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__finite_number(text) -%}
    case when abs(try_cast({{ text }} as double)) < 1e15 then try_cast({{ text }} as double) end
{%- endmacro %}
