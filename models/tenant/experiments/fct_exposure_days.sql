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

experiments as (

    select * from {{ ref('dim_experiments') }}

),

variants as (

    select * from {{ ref('dim_experiment_variants') }}

),

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

exposures as (

    select
        events.tenant_key,
        experiments.experiment,
        events.person_key,
        {{ json_property('events.properties', 'experiments.variant_property') }} as variant,
        events.activity_date,
        events.occurred_at
    from events
    inner join experiments
        on events.tenant_key = experiments.tenant_key
        and events.event_name = experiments.exposure_event
        and events.occurred_at >= experiments.starts_at
        and events.occurred_at < experiments.ends_at
    where {{ json_property('events.properties', 'experiments.experiment_property') }} = experiments.experiment

),

-- a variant that nobody declared is none
by_day as (

    select
        exposures.tenant_key,
        exposures.experiment,
        exposures.person_key,
        exposures.variant,
        exposures.activity_date,
        min(exposures.occurred_at) as first_at
    from exposures
    inner join variants
        on exposures.tenant_key = variants.tenant_key
        and exposures.experiment = variants.experiment
        and exposures.variant = variants.variant
    group by exposures.tenant_key, exposures.experiment, exposures.person_key, exposures.variant, exposures.activity_date

),

with_exclusion as (

    select
        by_day.*,
        person_days.excluded_as
    from by_day
    inner join person_days
        on by_day.tenant_key = person_days.tenant_key
        and by_day.person_key = person_days.person_key
        and by_day.activity_date = person_days.activity_date

)

select * from with_exclusion
