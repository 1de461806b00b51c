{{ config(
    materialized='incremental',
    incremental_strategy='replace_affected',
    on_schema_change='fail',
    meta={
        'affected_by': 'int_affected_windows',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.activity_date = affected.activity_date',
        'affected_from': ['activity_date', 'activity_date'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_windows') }}

),

days as (

    {{ of_affected(ref('fct_active_users')) }}

),

event_days as (

    {{ of_affected(ref('fct_event_days')) }}

),

session_days as (

    {{ of_affected(ref('fct_session_days')) }}

),

final as (

    select
        days.tenant_key,
        days.activity_date,
        days.daily_active_users,
        days.weekly_active_users,
        days.monthly_active_users,
        days.new_users,
        days.daily_active_users - days.new_users - days.resurrected_users as returning_users,
        days.resurrected_users,
        {{ rate('days.daily_active_users', 'days.monthly_active_users') }} as stickiness,
        {{ wilson_low('days.daily_active_users', 'days.monthly_active_users') }} as stickiness_low,
        {{ wilson_high('days.daily_active_users', 'days.monthly_active_users') }} as stickiness_high,
        {{ sample_state('days.monthly_active_users') }} as stickiness_state,
        cast(coalesce(event_days.events, 0) as bigint) as events,
        cast(coalesce(event_days.excluded_events, 0) as bigint) as excluded_events,
        cast(coalesce(session_days.sessions, 0) as bigint) as sessions,
        cast(coalesce(session_days.duration_ms, 0) / 60000.0 as decimal(18, 2)) as session_minutes,
        cast(coalesce(session_days.engaged_ms, 0) / 60000.0 as decimal(18, 2)) as engaged_minutes
    from days
    left join event_days
        on days.tenant_key = event_days.tenant_key
        and days.activity_date = event_days.activity_date
    left join session_days
        on days.tenant_key = session_days.tenant_key
        and days.activity_date = session_days.activity_date

)

select * from final
