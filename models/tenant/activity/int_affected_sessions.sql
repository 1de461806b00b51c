{%- set sessions = built('fct_sessions') -%}

with activity as (

    select * from {{ ref('int_affected_activity') }}

),

-- the registry allows no timeout beyond a day, so nothing further away can join
reach as (

    select
        tenant_key,
        person_key,
        min(first_at) as first_at,
        max(last_at) as last_at
    from activity
    group by tenant_key, person_key

),

{% if sessions %}
neighbours as (

    select
        reach.tenant_key,
        reach.person_key,
        min(sessions.started_at) as first_at,
        max(sessions.ended_at) as last_at
    from reach
    inner join {{ sessions }} as sessions
        on reach.tenant_key = sessions.tenant_key
        and reach.person_key = sessions.person_key
        and sessions.ended_at >= reach.first_at - interval 1 day
        and sessions.started_at <= reach.last_at + interval 1 day
    group by reach.tenant_key, reach.person_key

),
{% endif %}
ranges as (

    select
        tenant_key,
        person_key,
        min(first_at) as range_start,
        max(last_at) as range_end
    from (
        select * from reach
        {%- if sessions %}
        union all
        select * from neighbours
        {%- endif %}
    ) as touched
    group by tenant_key, person_key

)

select * from ranges
