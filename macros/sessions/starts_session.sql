{#- Whether an event opens a session: the gap since the event before it is strictly longer than the timeout.
    NULL for the first event of a partition. `tie_breaker` puts events of one instant in one order everywhere. -#}
{% macro starts_session(occurred_at, tie_breaker, timeout_seconds, partition) -%}
    {{ microseconds_between(
        'lag(' ~ occurred_at ~ ') over (partition by ' ~ partition ~ ' order by ' ~ occurred_at ~ ', ' ~ tie_breaker ~ ')',
        occurred_at
    ) }} > {{ timeout_seconds }} * 1000000
{%- endmacro %}
