-- what leaves is written down before it does
-- depends_on: {{ ref('int_affected_activity') }}
{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_units',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.unit_key = affected.unit_key '
            'and kept.occurred_at between affected.range_start and affected.range_end',
        'affected_from': ['occurred_at', 'range_start'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_units') }}

),

events as (

    {{ of_affected(ref('int_events')) }}

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

placed as (

    {{ placed('events') }}

),

with_week as (

    select
        tenant_key,
        event_key,
        unit_key,
        person_key,
        user_key,
        anonymous_key,
        account_key,
        event_name,
        feature,
        occurred_at,
        received_at,
        activity_date,
        {{ week_start('activity_date', 'first_weekday') }} as week_start,
        session_timeout_seconds,
        is_activity,
        listed_as,
        url_path,
        referrer_channel,
        platform,
        country,
        duration_ms,
        value_minor,
        properties
    from placed

)

select * from with_week
