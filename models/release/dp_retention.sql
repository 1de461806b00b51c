with due as (

    select
        period_start,
        period_end,
        lookback_start
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'retention'

),

events as (

    select * from {{ ref('int_events') }}

),

-- an event is within reach of several periods, and each has a look-back of its own
seen as (

    select
        due.period_start,
        events.tenant_key,
        events.unit_key,
        min(cast(events.occurred_at as date)) as first_day,
        max(events.occurred_at) >= due.period_start as is_active
    from events
    inner join due
        on events.occurred_at >= due.lookback_start
        and events.occurred_at < due.period_end
    group by due.period_start, events.tenant_key, events.unit_key

),

-- the day before the period is one week old, and so are the six before it; who is new in the period has no age
aged as (

    select
        *,
        {{ integer_division(days_between('first_day', 'period_start') ~ ' + 6', 7) }} as weeks
    from seen
    where first_day < period_start

),

contributions as (

    select
        period_start,
        tenant_key,
        unit_key,
        case
            when weeks <= 2 then 'weeks_1_2'
            when weeks <= 4 then 'weeks_3_4'
            when weeks <= 7 then 'weeks_5_7'
            when weeks = 8 then 'week_8'
        end as segment,
        case when is_active then 'retained' end as metric,
        case when is_active then 'active' end as key,
        cast(null as bigint) as value
    from aged

)

{{ bounded_cells('retention', 'contributions') }}
