with person_days as (

    select * from {{ ref('fct_person_days') }}

),

touched as (

    select * from {{ ref('int_affected_days') }}

),

calendar as (

    select * from {{ ref('calendar') }}

),

known_days as (

    select
        tenant_key,
        activity_date,
        max(is_active) as is_active,
        max(is_touched) as is_touched
    from (
        select distinct
            tenant_key,
            activity_date,
            1 as is_active,
            0 as is_touched
        from person_days
        union all
        select
            tenant_key,
            activity_date,
            0 as is_active,
            1 as is_touched
        from touched
    ) as either
    group by tenant_key, activity_date

),

-- a touched day may have lost all of its events: it is no active day any more, and still has neighbours
neighbouring as (

    select
        tenant_key,
        activity_date,
        is_touched,
        max(case when is_active = 1 then activity_date end) over (
            partition by tenant_key
            order by activity_date
            rows between unbounded preceding and 1 preceding
        ) as day_before,
        min(case when is_active = 1 then activity_date end) over (
            partition by tenant_key
            order by activity_date
            rows between 1 following and unbounded following
        ) as day_after
    from known_days

),

-- a day counts in its own row and in the 27 that follow; the quiet days on either side of it may have no rows yet,
-- or, where it was the first or the last one, none any more
windows as (

    select distinct
        neighbouring.tenant_key,
        calendar.calendar_date as activity_date
    from neighbouring
    inner join calendar
        on calendar.calendar_date > coalesce(neighbouring.day_before, neighbouring.activity_date - 1)
        and calendar.calendar_date <= greatest(neighbouring.activity_date + 27, neighbouring.day_after)
    where neighbouring.is_touched = 1

)

select * from windows
