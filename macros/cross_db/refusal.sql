{#- A condition that nothing meets: whatever it is asked about stops the statement, with a text that holds nothing of the data. -#}
{% macro refusal(text) -%}
    {{ return(adapter.dispatch('refusal', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__refusal(text) -%}
    error('{{ text }}')
{%- endmacro %}
