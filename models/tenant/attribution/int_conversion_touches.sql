{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_conversion_weeks',
        'affected_when': 'kept.tenant_key = affected.tenant_key '
            'and kept.week_start between affected.first_week and affected.last_week',
        'affected_from': ['week_start', 'first_week'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_conversion_weeks') }}

),

conversions as (

    {{ of_affected(ref('fct_conversions')) }}

),

sessions as (

    select * from {{ ref('fct_sessions') }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}

),

-- the session of the conversion itself counts in any case
touches as (

    select
        conversions.tenant_key,
        conversions.conversion,
        conversions.unit_key,
        conversions.event_key,
        conversions.week_start,
        conversions.value_minor,
        sessions.source,
        sessions.started_at
    from conversions
    inner join sessions
        on conversions.tenant_key = sessions.tenant_key
        and conversions.person_key = sessions.person_key
        and conversions.occurred_at >= sessions.started_at
    left join person_days
        on sessions.tenant_key = person_days.tenant_key
        and sessions.person_key = person_days.person_key
        and sessions.session_date = person_days.activity_date
    where
        conversions.occurred_at <= sessions.ended_at
        or (
            {{ microseconds_between('sessions.started_at', 'conversions.occurred_at') }}
            <= conversions.lookback_days * 86400000000
            and person_days.excluded_as is null
        )

),

numbered as (

    select
        *,
        cast(row_number() over (of_conversion order by started_at) as bigint) as touch,
        cast(count(*) over of_conversion as bigint) as touches
    from touches
    window of_conversion as (partition by tenant_key, conversion, unit_key, event_key)

)

select * from numbered
