{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
) }}
{%- set placed_before = built('fct_events') -%}
{%- set of_units = {
    'affected_when': 'kept.tenant_key = affected.tenant_key and kept.unit_key = affected.unit_key '
        'and kept.occurred_at between affected.range_start and affected.range_end',
    'affected_from': ['occurred_at', 'range_start'],
} -%}

with affected as (

    select * from {{ ref('int_affected_units') }}

),

events as (

    select kept.* from {{ ref('int_events') }} as kept
    {%- if placed_before %}
    where {{ is_affected(of_units, 'affected') }}
    {%- endif %}

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

arriving as (

    {{ placed('events') }}

),

touched as (

    select
        tenant_key,
        person_key,
        account_key,
        activity_date,
        occurred_at
    from arriving
    {%- if placed_before %}
    union all
    select
        kept.tenant_key,
        kept.person_key,
        kept.account_key,
        kept.activity_date,
        kept.occurred_at
    from {{ placed_before }} as kept
    where {{ is_affected(of_units, 'affected') }}
    {%- endif %}

),

by_day as (

    select
        tenant_key,
        person_key,
        account_key,
        activity_date,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from touched
    group by tenant_key, person_key, account_key, activity_date

)

select * from by_day
