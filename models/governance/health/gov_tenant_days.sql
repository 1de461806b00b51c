{#- 56 days are shown, and each is held against the 56 before it. -#}
{%- set days_read = 112 -%}

with run as (

    select * from {{ source('control', 'run_control') }}

),

keys as (

    select * from {{ source('keyring', 'tenant_keys') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}
    where listing <> 'default'

),

events as (

    select * from {{ ref('int_events') }}

),

quarantine as (

    select * from {{ ref('int_quarantine') }}

),

files as (

    select * from {{ source('landing', 'landing_files') }}

),

calendar as (

    select * from {{ ref('calendar') }}

),

-- what was forgotten says nothing of what a tenant sends; a row whose clock cannot be read counts on the day that took it
refused as (

    select
        keys.tenant_key,
        least(cast(quarantine.received_at as date), files.landed_on) as utc_day,
        count(*) as quarantined_rows
    from quarantine
    inner join keys on quarantine.tenant_id = keys.tenant_id
    inner join files on quarantine.landing_file = files.landing_file
    where quarantine.reason not in ('erased', 'expired')
    group by keys.tenant_key, least(cast(quarantine.received_at as date), files.landed_on)

),

begun as (

    select
        tenant_key,
        min(utc_day) as first_day
    from (
        select
            tenant_key,
            cast(min(occurred_at) as date) as utc_day
        from events
        group by tenant_key
        union all
        select
            tenant_key,
            utc_day
        from refused
    ) as either
    group by tenant_key

),

-- the agreement that holds when a day ends is the one that it is judged by
days as (

    select
        begun.tenant_key,
        calendar.calendar_date as utc_day,
        tenants.freshness_sla_hours,
        {{ hours_after('cast(calendar.calendar_date + 1 as timestamp)', 'tenants.freshness_sla_hours') }} as due_at
    from begun
    cross join run
    inner join calendar
        on begun.first_day <= calendar.calendar_date
        and run.as_of - {{ days_read }} < calendar.calendar_date
        and run.as_of >= calendar.calendar_date
    inner join tenants
        on begun.tenant_key = tenants.tenant_key
        and cast(calendar.calendar_date + 1 as timestamp) > tenants.valid_from_at
        and cast(calendar.calendar_date + 1 as timestamp) <= tenants.valid_to_at

),

-- what tells no time of receipt counts as received when it happened
accepted as (

    select
        days.tenant_key,
        days.utc_day,
        count(*) as accepted_events,
        sum(case when events.received_at > days.due_at then 1 else 0 end) as late_events,
        {{ discrete_quantile(
            integer_division(microseconds_between('events.occurred_at', 'events.received_at'), 60000000), 0.95
        ) }} as p95_lateness_minutes
    from days
    inner join events
        on days.tenant_key = events.tenant_key
        and days.utc_day = cast(events.occurred_at as date)
    group by days.tenant_key, days.utc_day

),

counted as (

    select
        days.tenant_key,
        days.utc_day,
        days.freshness_sla_hours,
        days.due_at,
        cast(coalesce(accepted.accepted_events, 0) as bigint) as accepted_events,
        cast(coalesce(refused.quarantined_rows, 0) as bigint) as quarantined_rows,
        cast(coalesce(accepted.late_events, 0) as bigint) as late_events,
        cast(accepted.p95_lateness_minutes as bigint) as p95_lateness_minutes
    from days
    left join accepted
        on days.tenant_key = accepted.tenant_key
        and days.utc_day = accepted.utc_day
    left join refused
        on days.tenant_key = refused.tenant_key
        and days.utc_day = refused.utc_day

)

select * from counted
