with days as (

    select * from {{ ref('int_affected_days') }}

),

definitions as (

    select * from {{ ref('dim_conversions') }}

),

lookbacks as (

    select
        tenant_key,
        max(lookback_days) as days
    from definitions
    group by tenant_key

),

-- a visit is credited for what comes up to its lookback later; a week begins up to six days before its last day, and where a
-- tenant moves to another time zone, a later event may have an earlier date
weeks as (

    select
        days.tenant_key,
        min(days.activity_date) - 8 as first_week,
        max(days.activity_date) + cast(coalesce(max(lookbacks.days), 0) as integer) + 2 as last_week
    from days
    left join lookbacks on days.tenant_key = lookbacks.tenant_key
    group by days.tenant_key

)

select * from weeks
