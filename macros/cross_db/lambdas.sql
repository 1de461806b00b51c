{#- Expressions over lists: what one engine writes `lambda x: ...`, another writes `x -> ...`. -#}

{#- An expression over the elements of a list, each by the name `item`. -#}
{% macro mapped(values, item, expression) -%}
    {{ return(adapter.dispatch('mapped', 'quorum')(values, item, expression)) }}
{%- endmacro %}

{% macro duckdb__mapped(values, item, expression) -%}
    list_transform({{ values }}, lambda {{ item }}: {{ expression }})
{%- endmacro %}

{#- The elements of a list that meet a condition. -#}
{% macro filtered(values, item, condition) -%}
    {{ return(adapter.dispatch('filtered', 'quorum')(values, item, condition)) }}
{%- endmacro %}

{% macro duckdb__filtered(values, item, condition) -%}
    list_filter({{ values }}, lambda {{ item }}: {{ condition }})
{%- endmacro %}

{#- What becomes of `initial`, element by element; all of one type. -#}
{% macro folded(values, initial, result, item, expression) -%}
    {{ return(adapter.dispatch('folded', 'quorum')(values, initial, result, item, expression)) }}
{%- endmacro %}

{% macro duckdb__folded(values, initial, result, item, expression) -%}
    list_reduce({{ values }}, lambda {{ result }}, {{ item }}: {{ expression }}, {{ initial }})
{%- endmacro %}

{#- An expression in which a value that is costly, or long to write, goes by a name. -#}
{% macro named(value, name, expression) -%}
    {{ element(mapped('[' ~ value ~ ']', name, expression), 1) }}
{%- endmacro %}
