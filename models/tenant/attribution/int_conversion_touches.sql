{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_conversion_weeks',
        'affected_when': 'kept.tenant_key = affected.tenant_key '
            'and kept.week_start between affected.first_week and affected.last_week',
    },
) }}

with conversions as (

    select * from {{ ref('fct_conversions') }}

),

sessions as (

    select * from {{ ref('fct_sessions') }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}

),

affected as (

    select * from {{ ref('int_affected_conversion_weeks') }}

),

in_reach as (

    select conversions.*
    from conversions
    {%- if is_incremental() %}
    where exists (
        select 1 from affected
        where affected.tenant_key = conversions.tenant_key
            and conversions.week_start between affected.first_week and affected.last_week
    )
    {%- endif %}

),

-- the session of the conversion itself counts in any case
touches as (

    select
        in_reach.tenant_key,
        in_reach.conversion,
        in_reach.unit_key,
        in_reach.event_key,
        in_reach.week_start,
        in_reach.value_minor,
        sessions.source,
        sessions.started_at
    from in_reach
    inner join sessions
        on in_reach.tenant_key = sessions.tenant_key
        and in_reach.person_key = sessions.person_key
        and in_reach.occurred_at >= sessions.started_at
    left join person_days
        on sessions.tenant_key = person_days.tenant_key
        and sessions.person_key = person_days.person_key
        and sessions.session_date = person_days.activity_date
    where
        in_reach.occurred_at <= sessions.ended_at
        or (
            {{ microseconds_between('sessions.started_at', 'in_reach.occurred_at') }} <= in_reach.lookback_days * 86400000000
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
