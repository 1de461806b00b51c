with periods as (

    select * from {{ source('cross_tenant_control', 'release_periods') }}

),

keys as (

    select * from {{ source('cross_tenant_control', 'release_keys') }}

),

members as (

    select * from {{ ref('cohort_tenants') }}

),

events as (

    select * from {{ ref('int_events') }}

),

-- each event speaks for its own unit alone: nothing here looks at another row
active as (

    select distinct
        periods.release,
        periods.period_start,
        members.cohort_key,
        members.contributor_key,
        events.tenant_key,
        events.unit_key,
        keys.key as feature
    from events
    inner join periods
        on events.occurred_at >= periods.period_start
        and events.occurred_at < periods.period_end
    inner join members
        on periods.period_start = members.period_start
        and events.tenant_key = members.tenant_key
    left join keys
        on periods.release = keys.release
        and events.feature = keys.key

)

select * from active
