with user_days as (

    select * from {{ ref('fct_user_days') }}

),

touched as (

    select * from {{ ref('int_affected_days') }}

),

calendar as (

    select * from {{ ref('calendar') }}

),

active_days as (

    select distinct
        tenant_key,
        activity_date
    from user_days

),

neighbouring as (

    select
        tenant_key,
        activity_date,
        lag(activity_date) over (partition by tenant_key order by activity_date) as day_before,
        lead(activity_date) over (partition by tenant_key order by activity_date) as day_after,
        max(activity_date) over (partition by tenant_key) as last_day
    from active_days

),

-- a day counts in its own row and in the 27 that follow; the quiet days on either side of it may have no rows yet
windows as (

    select distinct
        touched.tenant_key,
        calendar.calendar_date as activity_date
    from touched
    inner join neighbouring
        on touched.tenant_key = neighbouring.tenant_key
        and touched.activity_date = neighbouring.activity_date
    inner join calendar
        on calendar.calendar_date > coalesce(neighbouring.day_before, touched.activity_date - 1)
        and calendar.calendar_date <= least(greatest(touched.activity_date + 27, neighbouring.day_after), neighbouring.last_day)

)

select * from windows
