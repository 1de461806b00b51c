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

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

feature_days as (

    select
        events.tenant_key,
        events.person_key,
        events.activity_date,
        person_days.week_start,
        events.feature,
        count(*) as uses
    from events
    inner join person_days
        on events.tenant_key = person_days.tenant_key
        and events.person_key = person_days.person_key
        and events.activity_date = person_days.activity_date
    where events.feature is not null and person_days.is_active
    group by events.tenant_key, events.person_key, events.activity_date, person_days.week_start, events.feature

)

select * from feature_days
