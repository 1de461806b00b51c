{#- Aggregate: the least value that so large a share of them does not exceed, which one of them has (nearest rank); at 0.5 the lower median. -#}
{% macro discrete_quantile(value, share) -%}
    {{ return(adapter.dispatch('discrete_quantile', 'quorum')(value, share)) }}
{%- endmacro %}

{% macro duckdb__discrete_quantile(value, share) -%}
    quantile_disc({{ value }}, {{ share }})
{%- endmacro %}

{#- Aggregate: the middle value; of an even number of values the lower of the two in the middle. -#}
{% macro lower_median(value) -%}
    {{ discrete_quantile(value, 0.5) }}
{%- endmacro %}
