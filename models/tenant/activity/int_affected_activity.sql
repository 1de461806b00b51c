{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
) }}
{%- set kept = built('fct_events') -%}

with all_events as (

    select * from {{ ref('int_events') }}

),

affected as (

    select * from {{ ref('int_affected_units') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

identities as (

    select * from {{ ref('dim_identities') }}

),

activity_rules as (

    select * from {{ ref('dim_activity_rules') }}

),

listings as (

    select * from {{ ref('dim_listed_units') }}

),

events as (

    select all_events.*
    from all_events
    where exists (
        select 1 from affected
        where
            affected.tenant_key = all_events.tenant_key
            and affected.unit_key = all_events.unit_key
            and all_events.occurred_at between affected.range_start and affected.range_end
    )

),

arriving as (

    {{ placed('events') }}

),

touched as (

    select
        tenant_key,
        person_key,
        activity_date,
        occurred_at
    from arriving
    {%- if kept %}
    union all
    select
        kept.tenant_key,
        kept.person_key,
        kept.activity_date,
        kept.occurred_at
    from {{ kept }} as kept
    where exists (
        select 1 from affected
        where affected.tenant_key = kept.tenant_key
            and affected.unit_key = kept.unit_key
            and kept.occurred_at between affected.range_start and affected.range_end
    )
    {%- endif %}

),

by_day as (

    select
        tenant_key,
        person_key,
        activity_date,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from touched
    group by tenant_key, person_key, activity_date

)

select * from by_day
