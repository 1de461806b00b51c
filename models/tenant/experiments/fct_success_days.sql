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

experiments as (

    select * from {{ ref('dim_experiments') }}

),

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

by_day as (

    select
        events.tenant_key,
        experiments.experiment,
        events.person_key,
        events.activity_date,
        max(events.occurred_at) as last_at
    from events
    inner join experiments
        on events.tenant_key = experiments.tenant_key
        and events.event_name = experiments.metric_event
        and events.occurred_at >= experiments.starts_at
        and events.occurred_at < experiments.ends_at
    group by events.tenant_key, experiments.experiment, events.person_key, events.activity_date

),

-- what is done on a day that counts in no metric counts here no more than elsewhere
counted as (

    select by_day.*
    from by_day
    inner join person_days
        on by_day.tenant_key = person_days.tenant_key
        and by_day.person_key = person_days.person_key
        and by_day.activity_date = person_days.activity_date
    where person_days.excluded_as is null

)

select * from counted
