{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_days',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.activity_date = affected.activity_date',
        'affected_from': ['activity_date', 'activity_date'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_days') }}

),

events as (

    {{ of_affected(ref('fct_events')) }}

),

definitions as (

    select * from {{ ref('dim_conversions') }}

),

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

-- what somebody did on a day that does not count in metrics of users is no conversion
conversions as (

    select
        events.tenant_key,
        definitions.conversion,
        events.unit_key,
        events.event_key,
        events.person_key,
        events.occurred_at,
        events.activity_date,
        events.week_start,
        cast(definitions.lookback_days as bigint) as lookback_days,
        cast(coalesce(events.value_minor, 0) as bigint) as value_minor
    from events
    inner join definitions
        on events.tenant_key = definitions.tenant_key
        and events.event_name = definitions.event_name
    inner join person_days
        on events.tenant_key = person_days.tenant_key
        and events.person_key = person_days.person_key
        and events.activity_date = person_days.activity_date
    where person_days.is_active

)

select * from conversions
