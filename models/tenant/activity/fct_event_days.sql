{{ config(materialized='view') }}

with person_days as (

    select * from {{ ref('fct_person_days') }}

),

event_days as (

    select
        tenant_key,
        activity_date,
        sum(case when excluded_as is null then events else 0 end) as events,
        sum(case when excluded_as is not null then events else 0 end) as excluded_events
    from person_days
    group by tenant_key, activity_date

)

select * from event_days
