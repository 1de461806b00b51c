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

definitions as (

    select * from {{ ref('dim_conversions') }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}

),

affected as (

    select * from {{ ref('int_affected_days') }}

),

in_reach as (

    select events.*
    from events
    {%- if is_incremental() %}
    where exists (
        select 1 from affected
        where affected.tenant_key = events.tenant_key and affected.activity_date = events.activity_date
    )
    {%- endif %}

),

-- what somebody did on a day that does not count in metrics of users is no conversion
conversions as (

    select
        in_reach.tenant_key,
        definitions.conversion,
        in_reach.unit_key,
        in_reach.event_key,
        in_reach.person_key,
        in_reach.occurred_at,
        in_reach.activity_date,
        in_reach.week_start,
        cast(definitions.lookback_days as bigint) as lookback_days,
        cast(coalesce(in_reach.value_minor, 0) as bigint) as value_minor
    from in_reach
    inner join definitions
        on in_reach.tenant_key = definitions.tenant_key
        and in_reach.event_name = definitions.event_name
    inner join person_days
        on in_reach.tenant_key = person_days.tenant_key
        and in_reach.person_key = person_days.person_key
        and in_reach.activity_date = person_days.activity_date
    where person_days.is_active

)

select * from conversions
