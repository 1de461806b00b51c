{{ config(materialized='view') }}

with events as (

    select * from {{ ref('int_events') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- a rule holds from its date on, so a later change does not rewrite history
ruled as (

    select
        events.*,
        {{ local_date('events.occurred_at', 'tenants.timezone') }} as activity_date,
        cast(tenants.session_timeout_minutes as bigint) * 60 as session_timeout_seconds
    from events
    inner join tenants
        on events.tenant_key = tenants.tenant_key
        and events.occurred_at >= tenants.valid_from_at
        and events.occurred_at < tenants.valid_to_at

)

select * from ruled
