with due as (

    select
        period_start,
        period_end,
        lookback_start
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'time_to_value'

),

events as (

    select * from {{ ref('int_events') }}

),

-- the first use of a feature of the public catalog is the value; what came before the look-back nobody asks
firsts as (

    select
        due.period_start,
        events.tenant_key,
        events.unit_key,
        min(events.occurred_at) as first_at,
        min(case when events.feature is not null then events.occurred_at end) as value_at
    from events
    inner join due
        on events.occurred_at >= due.lookback_start
        and events.occurred_at < due.period_end
    group by due.period_start, events.tenant_key, events.unit_key

),

-- who had it earlier in the look-back was part of an earlier period
contributions as (

    select
        period_start,
        tenant_key,
        unit_key,
        cast(null as varchar) as segment,
        'minutes_to_value' as metric,
        cast(null as varchar) as key,
        {{ integer_division(microseconds_between('first_at', 'value_at'), 60000000) }} as value
    from firsts
    where value_at >= period_start

)

{{ bounded_cells('time_to_value', 'contributions') }}
