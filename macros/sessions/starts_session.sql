{#- Whether an event opens a session: the gap since the event before it is strictly longer than the timeout.
    NULL for the first event of a partition. -#}
{% macro starts_session(occurred_at, timeout_seconds, partition) -%}
    {{ microseconds_between(
        'lag(' ~ occurred_at ~ ') over (partition by ' ~ partition ~ ' order by ' ~ occurred_at ~ ')',
        occurred_at
    ) }} > {{ timeout_seconds }} * 1000000
{%- endmacro %}
