{%- set sessions = built('fct_sessions') -%}

with changes as (

    select * from {{ ref('int_event_changes') }}

),

-- the registry allows no timeout beyond a day, so nothing further away can join
reach as (

    select
        tenant_key,
        unit_key,
        min(first_at) as first_at,
        max(last_at) as last_at
    from changes
    group by tenant_key, unit_key

),

{% if sessions %}
neighbours as (

    select
        reach.tenant_key,
        reach.unit_key,
        min(sessions.started_at) as first_at,
        max(sessions.ended_at) as last_at
    from reach
    inner join {{ sessions }} as sessions
        on reach.tenant_key = sessions.tenant_key
        and reach.unit_key = sessions.unit_key
        and sessions.ended_at >= reach.first_at - interval 1 day
        and sessions.started_at <= reach.last_at + interval 1 day
    group by reach.tenant_key, reach.unit_key

),
{% endif %}
ranges as (

    select
        tenant_key,
        unit_key,
        min(first_at) as range_start,
        max(last_at) as range_end
    from (
        select * from reach
        {%- if sessions %}
        union all
        select * from neighbours
        {%- endif %}
    ) as touched
    group by tenant_key, unit_key

)

select * from ranges
