{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
) }}
{%- set accepted = built('int_events', 'tenant') -%}

with won as (

    select * from {{ ref('int_events_won') }}

),

displaced as (

    select * from {{ ref('int_events_displaced') }}

),

run as (

    select * from {{ source('control', 'run_control') }}

),

changed as (

    select
        tenant_key,
        unit_key,
        occurred_at
    from won
    union all
    select
        tenant_key,
        unit_key,
        occurred_at
    from displaced
    {%- if accepted %}
    union all
    select
        accepted.tenant_key,
        accepted.unit_key,
        accepted.occurred_at
    from {{ accepted }} as accepted
    inner join run
        on accepted.occurred_at >= run.rebuild_from
        and accepted.occurred_at < run.rebuild_to + interval 1 day
    {%- endif %}

),

by_day as (

    select
        tenant_key,
        unit_key,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from changed
    group by tenant_key, unit_key, cast(occurred_at as date)

)

select * from by_day
