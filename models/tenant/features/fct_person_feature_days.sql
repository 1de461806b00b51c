{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_days',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.activity_date = affected.activity_date',
    },
) }}

with events as (

    select * from {{ ref('fct_events') }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}

),

affected as (

    select * from {{ ref('int_affected_days') }}

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
    {%- if is_incremental() %}
    inner join affected
        on events.tenant_key = affected.tenant_key
        and events.activity_date = affected.activity_date
    {%- endif %}
    where events.feature is not null and person_days.is_active
    group by events.tenant_key, events.person_key, events.activity_date, person_days.week_start, events.feature

)

select * from feature_days
