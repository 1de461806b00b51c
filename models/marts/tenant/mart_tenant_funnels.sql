{{ config(
    materialized='incremental',
    incremental_strategy='replace_affected',
    on_schema_change='fail',
    meta={
        'affected_by': 'int_affected_tenants',
        'affected_when': 'kept.tenant_key = affected.tenant_key',
    },
) }}

with affected as (

    select * from {{ ref('int_affected_tenants') }}

),

attempts as (

    {{ of_affected(ref('fct_funnel_attempts')) }}

),

funnels as (

    select * from {{ ref('dim_funnels') }}

),

funnel_steps as (

    select * from {{ ref('dim_funnel_steps') }}

),

sessions as (

    select * from {{ ref('fct_sessions') }}

),

-- a tenant's clock is its own last event
clocks as (

    select
        tenant_key,
        max(ended_at) as last_event_at
    from sessions
    group by tenant_key

),

weeks as (

    select
        tenant_key,
        funnel,
        week_start,
        count(*) as entered,
        max(entered_at) as last_entered_at
    from attempts
    group by tenant_key, funnel, week_start

),

arrivals as (

    select
        attempts.tenant_key,
        attempts.funnel,
        attempts.week_start,
        funnel_steps.step,
        count(*) as reached,
        {{ lower_median(integer_division(
            microseconds_between('attempts.entered_at', element('attempts.reached_at', 'funnel_steps.step')), 1000000
        )) }} as median_seconds_to_step
    from attempts
    inner join funnel_steps
        on attempts.tenant_key = funnel_steps.tenant_key
        and attempts.funnel = funnel_steps.funnel
        and attempts.steps_done >= funnel_steps.step
    group by attempts.tenant_key, attempts.funnel, attempts.week_start, funnel_steps.step

),

-- a step that nobody got to has a row too
steps as (

    select
        weeks.*,
        funnel_steps.step,
        funnel_steps.step_name,
        coalesce(arrivals.reached, 0) as reached,
        arrivals.median_seconds_to_step,
        lag(coalesce(arrivals.reached, 0)) over (
            partition by weeks.tenant_key, weeks.funnel, weeks.week_start
            order by funnel_steps.step
        ) as reached_before
    from weeks
    inner join funnel_steps on weeks.tenant_key = funnel_steps.tenant_key and weeks.funnel = funnel_steps.funnel
    left join arrivals
        on weeks.tenant_key = arrivals.tenant_key
        and weeks.funnel = arrivals.funnel
        and weeks.week_start = arrivals.week_start
        and funnel_steps.step = arrivals.step

),

final as (

    select
        steps.tenant_key,
        steps.funnel,
        steps.week_start,
        cast(steps.step as bigint) as step,
        steps.step_name,
        funnels.sequence,
        funnels.grain,
        cast(funnels.window_hours as bigint) as window_hours,
        steps.entered,
        steps.reached,
        {{ rate('steps.reached', 'steps.entered') }} as conversion_rate,
        {{ wilson_low('steps.reached', 'steps.entered') }} as conversion_rate_low,
        {{ wilson_high('steps.reached', 'steps.entered') }} as conversion_rate_high,
        {{ sample_state('steps.entered') }} as conversion_rate_state,
        steps.reached_before,
        {{ rate('steps.reached', 'steps.reached_before') }} as step_conversion_rate,
        {{ wilson_low('steps.reached', 'steps.reached_before') }} as step_conversion_rate_low,
        {{ wilson_high('steps.reached', 'steps.reached_before') }} as step_conversion_rate_high,
        case when steps.step > 1 then {{ sample_state('steps.reached_before') }} end as step_conversion_rate_state,
        steps.median_seconds_to_step,
        {{ microseconds_between('steps.last_entered_at', 'clocks.last_event_at') }}
        <= funnels.window_hours * 3600000000 as is_immature
    from steps
    inner join funnels on steps.tenant_key = funnels.tenant_key and steps.funnel = funnels.funnel
    inner join clocks on steps.tenant_key = clocks.tenant_key

)

select * from final
