-- the linter cannot read a lambda of two parameters
-- noqa: disable=PRS
with due as (

    select
        period_start,
        period_end
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'funnel_conversion'

),

events as (

    select * from {{ ref('int_events') }}

),

-- a bit per step; who has done the first n of them, and no others, has 2^n - 1
steps as (

    select
        key,
        event_name,
        feature,
        cast(power(2, step - 1) as bigint) as step_bit,
        cast(power(2, step) as bigint) - 1 as done
    from {{ ref('benchmark_funnel_steps') }}
    where funnel = 'purchase'

),

matched as (

    select
        due.period_start,
        events.tenant_key,
        events.unit_key,
        events.occurred_at,
        events.event_key,
        bit_or(steps.step_bit) as bits
    from events
    inner join due
        on events.occurred_at >= due.period_start
        and events.occurred_at < due.period_end
    inner join steps
        on events.event_name = steps.event_name
        and (steps.feature is null or events.feature = steps.feature)
    group by due.period_start, events.tenant_key, events.unit_key, events.occurred_at, events.event_key

),

in_order as (

    select
        period_start,
        tenant_key,
        unit_key,
        {{ sorted_list(struct_of({'occurred_at': 'occurred_at', 'event_key': 'event_key', 'bits': 'bits'})) }} as events
    from matched
    group by period_start, tenant_key, unit_key

),

-- the step after those that are done is their number and 1 more: an event does that one or none
reached as (

    select
        period_start,
        tenant_key,
        unit_key,
        {{ folded(
            mapped('events', 'event', 'event.bits'), 'cast(0 as bigint)', 'done', 'bits', 'done | (bits & (done + 1))'
        ) }} as done
    from in_order

),

-- who did not get to the first step is no part of it
contributions as (

    select distinct
        reached.period_start,
        reached.tenant_key,
        reached.unit_key,
        cast(null as varchar) as segment,
        'reached' as metric,
        steps.key,
        cast(null as bigint) as value
    from reached
    inner join steps on reached.done = steps.done

)

{{ bounded_cells('funnel_conversion', 'contributions') }}
