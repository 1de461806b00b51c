{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_windows',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.activity_date = affected.activity_date',
        'affected_from': ['activity_date', 'activity_date'],
    },
) }}

with person_days as (

    select * from {{ ref('fct_person_days') }}

),

windows as (

    select * from {{ ref('int_affected_windows') }}

),

calendar as (

    select * from {{ ref('calendar') }}

),

-- a row for each day from a tenant's first day with an event to its last
spans as (

    select
        tenant_key,
        min(activity_date) as first_day,
        max(activity_date) as last_day
    from person_days
    group by tenant_key

),

-- what is read: everything on a first build, else the affected days and the 27 before them
ranges as (

    select
        tenant_key,
        min(activity_date) as first_day,
        max(activity_date) as last_day
    from {{ 'windows' if is_incremental() else 'person_days' }}
    group by tenant_key

),

in_reach as (

    select
        person_days.*,
        lead(person_days.activity_date) over (
            partition by person_days.tenant_key, person_days.person_key
            order by person_days.activity_date
        ) as next_active_date
    from person_days
    inner join ranges
        on person_days.tenant_key = ranges.tenant_key
        and person_days.activity_date >= ranges.first_day - 27
    where person_days.is_active

),

-- an active day holds its person in the trailing window until the window passes or the person comes back:
-- one step up, one step down, and a running sum counts distinct persons without a self-join
steps as (

    {{ rolling_step(
        'activity_date', active=1, weekly=1, monthly=1,
        newcomers='case when previous_active_date is null then 1 else 0 end',
        resurrected='case when previous_active_date < activity_date - 27 then 1 else 0 end'
    ) }}
    union all
    {{ rolling_step('least(activity_date + 7, next_active_date)', weekly=-1) }}
    union all
    {{ rolling_step('least(activity_date + 28, next_active_date)', monthly=-1) }}

),

daily_steps as (

    select
        tenant_key,
        activity_date,
        sum(active) as active,
        sum(newcomers) as newcomers,
        sum(resurrected) as resurrected,
        sum(weekly) as weekly,
        sum(monthly) as monthly
    from steps
    group by tenant_key, activity_date

),

days as (

    select
        ranges.tenant_key,
        calendar.calendar_date as activity_date
    from ranges
    inner join calendar
        on ranges.first_day - 27 <= calendar.calendar_date
        and ranges.last_day >= calendar.calendar_date

),

rolled as (

    select
        days.tenant_key,
        days.activity_date,
        coalesce(daily_steps.active, 0) as active,
        coalesce(daily_steps.newcomers, 0) as newcomers,
        coalesce(daily_steps.resurrected, 0) as resurrected,
        coalesce(sum(daily_steps.weekly) over so_far, 0) as weekly,
        coalesce(sum(daily_steps.monthly) over so_far, 0) as monthly
    from days
    left join daily_steps
        on days.tenant_key = daily_steps.tenant_key
        and days.activity_date = daily_steps.activity_date
    window so_far as (
        partition by days.tenant_key
        order by days.activity_date
        rows between unbounded preceding and current row
    )

),

final as (

    select
        rolled.tenant_key,
        rolled.activity_date,
        cast(rolled.active as bigint) as daily_active_users,
        cast(rolled.weekly as bigint) as weekly_active_users,
        cast(rolled.monthly as bigint) as monthly_active_users,
        cast(rolled.newcomers as bigint) as new_users,
        cast(rolled.resurrected as bigint) as resurrected_users
    from rolled
    inner join ranges
        on rolled.tenant_key = ranges.tenant_key
        and rolled.activity_date >= ranges.first_day
    inner join spans
        on rolled.tenant_key = spans.tenant_key
        and rolled.activity_date between spans.first_day and spans.last_day
    {%- if is_incremental() %}
    inner join windows
        on rolled.tenant_key = windows.tenant_key
        and rolled.activity_date = windows.activity_date
    {%- endif %}

)

select * from final
