with days as (

    select * from {{ ref('int_affected_days') }}

),

-- a week begins up to six days before its last day, and where a tenant moves to another time zone, a later event may have an
-- earlier date
weeks as (

    select
        tenant_key,
        min(activity_date) - 8 as first_week,
        max(activity_date) + 2 as last_week
    from days
    group by tenant_key

)

select * from weeks
