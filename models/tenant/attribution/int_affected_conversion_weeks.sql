with affected as (

    select * from {{ ref('int_affected_weeks') }}

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

-- a visit is credited for what comes up to its lookback later
weeks as (

    select
        affected.tenant_key,
        affected.first_week,
        affected.last_week + cast(coalesce(lookbacks.days, 0) as integer) as last_week
    from affected
    left join lookbacks on affected.tenant_key = lookbacks.tenant_key

)

select * from weeks
