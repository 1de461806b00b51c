with days as (

    select * from {{ ref('int_affected_days') }}

),

funnels as (

    select * from {{ ref('dim_funnels') }}

),

reaches as (

    select
        tenant_key,
        cast(max({{ integer_division('(window_hours + 23)', 24) }}) as integer) as days
    from funnels
    group by tenant_key

),

-- an event can end attempts that began its window ago, in a week that began up to six days before that; where a tenant
-- moves to another time zone, a later event may have an earlier date
weeks as (

    select
        days.tenant_key,
        min(days.activity_date) - coalesce(max(reaches.days), 0) - 8 as first_week,
        max(days.activity_date) + 2 as last_week
    from days
    left join reaches on days.tenant_key = reaches.tenant_key
    group by days.tenant_key

)

select * from weeks
