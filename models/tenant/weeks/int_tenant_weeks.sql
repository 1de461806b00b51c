with person_days as (

    select * from {{ ref('fct_person_days') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

calendar as (

    select * from {{ ref('calendar') }}

),

-- a tenant's clock is its own last day with an event, whosever that was
spans as (

    select
        tenant_key,
        min(case when is_active then activity_date end) as first_day,
        max(activity_date) as last_day
    from person_days
    group by tenant_key

),

-- a day nobody was active on lies in a week too, by the rule of that day
first_weekdays as (

    select
        tenant_key,
        week_start as first_weekday,
        lag(valid_from) over (partition by tenant_key order by valid_from) is null as is_first,
        valid_from,
        coalesce(lead(valid_from) over (partition by tenant_key order by valid_from), date '2200-01-01') as valid_to
    from tenants

),

ruled_days as (

    select
        spans.tenant_key,
        calendar.calendar_date as activity_date,
        {{ week_start('calendar.calendar_date', 'first_weekdays.first_weekday') }} as week_start
    from spans
    inner join calendar
        on calendar.calendar_date between spans.first_day and spans.last_day
    inner join first_weekdays
        on spans.tenant_key = first_weekdays.tenant_key
        and (calendar.calendar_date >= first_weekdays.valid_from or first_weekdays.is_first)
        and calendar.calendar_date < first_weekdays.valid_to

),

-- where the clock moves with the rule, some of a day's events may still lie in the old week
days as (

    select
        tenant_key,
        activity_date,
        week_start
    from ruled_days
    union
    select
        tenant_key,
        activity_date,
        week_start
    from person_days
    where is_active

),

bounded as (

    select
        tenant_key,
        week_start,
        min(activity_date) as first_day,
        max(activity_date) as last_day
    from days
    group by tenant_key, week_start

),

-- where a tenant moves the beginning of its week, two weeks overlap and share the days: the one with the earlier days comes first
weeks as (

    select
        tenant_key,
        week_start,
        row_number() over (partition by tenant_key order by first_day, week_start) as week_number,
        first_day,
        last_day
    from bounded

)

select * from weeks
