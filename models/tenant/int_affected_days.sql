with events as (

    select * from {{ ref('fct_events') }}

),

ranges as (

    select * from {{ ref('int_affected_sessions') }}

),

changes as (

    select * from {{ ref('int_event_changes') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- every session that was or will be cut anew starts on the day of one of these events
of_events as (

    select
        events.tenant_key,
        events.activity_date
    from events
    inner join ranges
        on events.tenant_key = ranges.tenant_key
        and events.unit_key = ranges.unit_key
        and events.occurred_at between ranges.range_start and ranges.range_end

),

instants as (

    select
        tenant_key,
        first_at as occurred_at
    from changes
    union
    select
        tenant_key,
        last_at as occurred_at
    from changes

),

-- or of one that is no more: the changes of a day lie on the local dates of the first and the last of them
of_changes as (

    select
        instants.tenant_key,
        {{ local_date('instants.occurred_at', 'tenants.timezone') }} as activity_date
    from instants
    inner join tenants
        on instants.tenant_key = tenants.tenant_key
        and instants.occurred_at >= tenants.valid_from_at
        and instants.occurred_at < tenants.valid_to_at

),

touched as (

    select
        tenant_key,
        activity_date
    from of_events
    union
    select
        tenant_key,
        activity_date
    from of_changes

)

select * from touched
