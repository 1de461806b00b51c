{{ config(materialized='view') }}

with person_days as (

    select * from {{ ref('fct_person_days') }}

),

spans as (

    select
        tenant_key,
        min(activity_date) as first_day,
        max(activity_date) as last_day
    from person_days
    group by tenant_key

)

select * from spans
