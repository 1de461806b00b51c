{#- A share of fewer rows says nothing. -#}
{%- set least_rows = 20 -%}

with run as (

    select
        as_of,
        cast(as_of + 1 as timestamp) as closed_at
    from {{ source('control', 'run_control') }}

),

tenants as (

    select
        dim_tenants.tenant_key,
        dim_tenants.freshness_sla_hours
    from {{ ref('dim_tenants') }} as dim_tenants
    inner join run on dim_tenants.valid_from_at < run.closed_at and dim_tenants.valid_to_at >= run.closed_at
    where dim_tenants.listing <> 'default'

),

events as (

    select * from {{ ref('int_events') }}

),

drifted as (

    select * from {{ ref('gov_tenant_drift') }}

),

health_days as (

    select * from {{ ref('gov_tenant_health_days') }}

),

budgets as (

    select * from {{ ref('gov_tenant_budgets') }}

),

-- clocks that run ahead say nothing of how fresh a tenant is
newest as (

    select
        events.tenant_key,
        max(events.occurred_at) as last_event_at,
        max(case when events.received_at < run.closed_at then events.received_at else events.occurred_at end) as last_received_at
    from events
    cross join run
    where events.occurred_at < run.closed_at
    group by events.tenant_key

),

last_week as (

    select
        health_days.tenant_key,
        sum(health_days.accepted_events) as accepted_events,
        sum(health_days.quarantined_rows) as quarantined_rows,
        max(health_days.p95_lateness_minutes) as p95_lateness_minutes,
        {{ last_by("case when health_days.volume_state <> 'pending' then health_days.volume_state end", 'health_days.utc_day') }}
            as volume_state,
        {{ last_by("case when health_days.volume_state <> 'pending' then health_days.volume_score end", 'health_days.utc_day') }}
            as volume_score
    from health_days
    inner join run on health_days.utc_day > run.as_of - 7
    group by health_days.tenant_key

),

gathered as (

    select
        tenants.tenant_key,
        run.as_of,
        tenants.freshness_sla_hours,
        newest.last_event_at,
        {{ integer_division(microseconds_between('newest.last_event_at', 'run.closed_at'), 3600000000) }} as freshness_hours,
        last_week.p95_lateness_minutes,
        cast(coalesce(last_week.accepted_events, 0) as bigint) as accepted_events,
        cast(coalesce(last_week.quarantined_rows, 0) as bigint) as quarantined_rows,
        coalesce(last_week.volume_state, 'not_enough_data') as volume_state,
        last_week.volume_score,
        cast(coalesce(drifted.new_properties, 0) as bigint) as new_properties,
        cast(coalesce(drifted.missing_properties, 0) as bigint) as missing_properties,
        cast(coalesce(drifted.retyped_properties, 0) as bigint) as retyped_properties,
        budgets.days_allowed,
        budgets.days_spent,
        budgets.days_left,
        budgets.missed_day,
        newest.last_received_at
    from tenants
    cross join run
    left join newest on tenants.tenant_key = newest.tenant_key
    left join last_week on tenants.tenant_key = last_week.tenant_key
    left join drifted on tenants.tenant_key = drifted.tenant_key
    inner join budgets on tenants.tenant_key = budgets.tenant_key

),

-- the first that holds
judged as (

    select
        tenant_key,
        as_of,
        case
            when last_event_at is null or last_received_at < missed_day then 'silent'
            when missed_day is not null then 'late'
            when volume_state in ('low', 'high') then 'anomalous'
            when
                (
                    accepted_events + quarantined_rows >= {{ least_rows }}
                    and quarantined_rows * 20 > accepted_events + quarantined_rows
                )
                or retyped_properties > 0
                or days_left < 0
                then 'degraded'
            else 'ok'
        end as status,
        freshness_sla_hours,
        last_event_at,
        freshness_hours,
        p95_lateness_minutes,
        accepted_events,
        quarantined_rows,
        {{ rate('quarantined_rows', '(accepted_events + quarantined_rows)') }} as quarantined_share,
        volume_state,
        volume_score,
        new_properties,
        missing_properties,
        retyped_properties,
        days_allowed,
        days_spent,
        days_left
    from gathered

)

select * from judged
