-- the linter cannot read a lambda of two parameters
-- noqa: disable=PRS
{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_attempts',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.funnel = affected.funnel '
            'and kept.subject_key = affected.subject_key and kept.week_start between affected.first_week and affected.last_week',
        'affected_from': ['week_start', 'first_week'],
    },
) }}

with events as (

    select * from {{ ref('fct_funnel_events') }}

),

funnels as (

    select * from {{ ref('dim_funnels') }}

),

affected as (

    select * from {{ ref('int_affected_attempts') }}

),

in_order as (

    select
        events.*,
        row_number() over (
            partition by events.tenant_key, events.funnel, events.subject_key, events.held_value
            order by events.occurred_at, events.event_key, events.unit_key
        ) as event_number
    from events
    {%- if is_incremental() %}
    inner join affected
        on events.tenant_key = affected.tenant_key
        and events.funnel = affected.funnel
        and events.subject_key = affected.subject_key
        and events.activity_date >= affected.first_week - 2
    where events.activity_date >= (select min(affected.first_week) - 2 from affected)
    {%- endif %}

),

-- the first step is an odd number of steps; where the order does not matter, any step begins an attempt
entries as (

    select
        in_order.tenant_key,
        in_order.funnel,
        in_order.subject_key,
        in_order.held_value,
        in_order.week_start,
        min(in_order.event_number) as event_number,
        min(in_order.occurred_at) as entered_at
    from in_order
    inner join funnels
        on in_order.tenant_key = funnels.tenant_key
        and in_order.funnel = funnels.funnel
    {%- if is_incremental() %}
    inner join affected
        on in_order.tenant_key = affected.tenant_key
        and in_order.funnel = affected.funnel
        and in_order.subject_key = affected.subject_key
        and in_order.week_start between affected.first_week and affected.last_week
    {%- endif %}
    where in_order.steps % 2 = 1 or funnels.sequence = 'any'
    group by in_order.tenant_key, in_order.funnel, in_order.subject_key, in_order.held_value, in_order.week_start

),

-- what the subject did from then on until the window closes; whoever begins with an event of several steps has done the first
followed as (

    select
        entries.tenant_key,
        entries.funnel,
        entries.subject_key,
        entries.held_value,
        entries.week_start,
        entries.entered_at,
        funnels.sequence,
        {{ sorted_list(struct_of({
            'place': 'later.event_number - entries.event_number + 1',
            'steps': 'case when later.event_number = entries.event_number then later.steps & -later.steps else later.steps end',
            'instants': '[later.occurred_at]',
        })) }} as events
    from entries
    inner join funnels
        on entries.tenant_key = funnels.tenant_key
        and entries.funnel = funnels.funnel
    inner join in_order as later
        on entries.tenant_key = later.tenant_key
        and entries.funnel = later.funnel
        and entries.subject_key = later.subject_key
        and entries.held_value = later.held_value
        and entries.event_number <= later.event_number
        and {{ microseconds_between('entries.entered_at', 'later.occurred_at') }} <= funnels.window_hours * 3600000000
        and (funnels.sequence <> 'strict' or later.event_number < entries.event_number + funnels.steps)
    group by
        entries.tenant_key, entries.funnel, entries.subject_key, entries.held_value,
        entries.week_start, entries.entered_at, funnels.sequence

),

progressed as (

    select
        *,
        {{ funnel_progress('events', 'sequence') }} as progress
    from followed

),

attempts as (

    select
        progressed.tenant_key,
        progressed.funnel,
        progressed.subject_key,
        progressed.held_value,
        progressed.week_start,
        progressed.entered_at,
        progressed.progress.place as steps_done,
        progressed.progress.instants as reached_at
    from progressed

)

select * from attempts
