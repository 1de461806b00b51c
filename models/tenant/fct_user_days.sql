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

affected as (

    select * from {{ ref('int_affected_days') }}

),

user_days as (

    select
        events.tenant_key,
        events.unit_key,
        events.activity_date,
        count(*) as events
    from events
    {%- if is_incremental() %}
    inner join affected
        on events.tenant_key = affected.tenant_key
        and events.activity_date = affected.activity_date
    {%- endif %}
    group by events.tenant_key, events.unit_key, events.activity_date

)

select * from user_days
