{#- Time since the event before; NULL for the first of a partition. `tie_breaker` puts events of one instant in one order everywhere. -#}
{% macro microseconds_since_last(occurred_at, tie_breaker, partition) -%}
    {{ microseconds_between(
        'lag(' ~ occurred_at ~ ') over (partition by ' ~ partition ~ ' order by ' ~ occurred_at ~ ', ' ~ tie_breaker ~ ')',
        occurred_at
    ) }}
{%- endmacro %}
