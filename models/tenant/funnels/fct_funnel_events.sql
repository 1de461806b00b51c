{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_days',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.activity_date = affected.activity_date',
        'affected_from': ['activity_date', 'activity_date'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_days') }}

),

events as (

    {{ of_affected(ref('fct_events')) }}

),

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

funnels as (

    select * from {{ ref('dim_funnels') }}

),

funnel_steps as (

    select * from {{ ref('dim_funnel_steps') }}

),

counted as (

    select events.*
    from events
    inner join person_days
        on events.tenant_key = person_days.tenant_key
        and events.person_key = person_days.person_key
        and events.activity_date = person_days.activity_date
    where
        events.listed_as is null
        and person_days.excluded_as is null
        and events.tenant_key in (select funnels.tenant_key from funnels)

),

-- kinds are few: each is held against the steps once, and not each event against each step
kinds as (

    select distinct
        tenant_key,
        event_name,
        feature
    from counted

),

-- the steps that a kind of event matches, a bit each; in a strict funnel those count too that match none
parts as (

    select
        kinds.tenant_key,
        kinds.event_name,
        kinds.feature,
        funnels.funnel,
        funnels.sequence,
        funnels.grain,
        funnels.held_property,
        cast(coalesce(sum(power(2, funnel_steps.step - 1)), 0) as bigint) as steps
    from kinds
    inner join funnels on kinds.tenant_key = funnels.tenant_key
    left join funnel_steps
        on funnels.tenant_key = funnel_steps.tenant_key
        and funnels.funnel = funnel_steps.funnel
        and (funnel_steps.event_name is null or kinds.event_name = funnel_steps.event_name)
        and (funnel_steps.feature is null or kinds.feature = funnel_steps.feature)
    group by
        kinds.tenant_key, kinds.event_name, kinds.feature,
        funnels.funnel, funnels.sequence, funnels.grain, funnels.held_property
    having count(funnel_steps.step) > 0 or funnels.sequence = 'strict'

),

-- an event without an account, or without the property, is nobody's
of_subjects as (

    select
        counted.tenant_key,
        parts.funnel,
        parts.sequence,
        case parts.grain when 'account' then counted.account_key else counted.person_key end as subject_key,
        case
            when parts.held_property is null then ''
            else {{ json_property('counted.properties', 'parts.held_property') }}
        end as held_value,
        counted.unit_key,
        counted.event_key,
        counted.occurred_at,
        counted.activity_date,
        counted.week_start,
        parts.steps
    from counted
    inner join parts
        on counted.tenant_key = parts.tenant_key
        and counted.event_name is not distinct from parts.event_name
        and counted.feature is not distinct from parts.feature
    where parts.steps > 0 or counted.is_activity

),

with_steps_before as (

    select
        *,
        lag(steps) over (
            partition by tenant_key, funnel, subject_key, held_value, activity_date
            order by occurred_at, event_key, unit_key
        ) as steps_before
    from of_subjects
    where sequence = 'strict' and subject_key is not null and held_value is not null
    union all
    select
        *,
        null as steps_before
    from of_subjects
    where sequence <> 'strict' and subject_key is not null and held_value is not null

),

-- an event that is no step tears an attempt apart as well as many do: of those that follow one another on a day one stays
thinned as (

    select * exclude (sequence, steps_before)
    from with_steps_before
    where steps > 0 or coalesce(steps_before, 1) > 0

)

select * from thinned
