{{ config(
    materialized='incremental',
    incremental_strategy='replace_affected',
    on_schema_change='fail',
    meta={
        'affected_by': 'int_affected_conversion_weeks',
        'affected_when': 'kept.tenant_key = affected.tenant_key '
            'and kept.week_start between affected.first_week and affected.last_week',
        'affected_from': ['week_start', 'first_week'],
    },
) }}
{#- A conversion is a million credits, so that shares of it are whole numbers. -#}
{%- set whole = 1000000 -%}

with affected as (

    select * from {{ ref('int_affected_conversion_weeks') }}

),

touches as (

    {{ of_affected(ref('int_conversion_touches')) }}

),

dealt as (

    select 'first' as attribution_model
    union all
    select 'last' as attribution_model
    union all
    select 'linear' as attribution_model
    union all
    select 'position' as attribution_model

),

-- what each touch before the last one gets
shared as (

    select
        touches.*,
        dealt.attribution_model,
        case
            when touches.touch = touches.touches then 0
            when dealt.attribution_model = 'first' then case when touches.touch = 1 then {{ whole }} else 0 end
            when dealt.attribution_model = 'linear' then {{ integer_division(whole, 'touches.touches') }}
            when dealt.attribution_model = 'position' and touches.touches = 2 then {{ whole // 2 }}
            when dealt.attribution_model = 'position' and touches.touch = 1 then {{ whole * 2 // 5 }}
            when dealt.attribution_model = 'position' then {{ integer_division(whole // 5, '(touches.touches - 2)') }}
            else 0
        end as portion
    from touches
    cross join dealt

),

valued as (

    select
        *,
        {{ integer_division('value_minor * portion', whole) }} as portion_of_value
    from shared

),

-- the last one gets the rest, so that nothing is lost in rounding
credited as (

    select
        *,
        case when touch < touches then portion else {{ whole }} - sum(portion) over of_conversion end as credit,
        case
            when touch < touches then portion_of_value
            else value_minor - sum(portion_of_value) over of_conversion
        end as value_credited
    from valued
    window of_conversion as (partition by tenant_key, conversion, unit_key, event_key, attribution_model)

),

by_source as (

    select
        tenant_key,
        week_start,
        conversion,
        attribution_model,
        source,
        cast(cast(sum(credit) as decimal(18, 0)) * cast(0.000001 as decimal(7, 6)) as decimal(18, 6)) as credited_conversions,
        cast(sum(value_credited) as bigint) as credited_value_minor
    from credited
    where credit > 0
    group by tenant_key, week_start, conversion, attribution_model, source

),

weeks as (

    select
        tenant_key,
        week_start,
        conversion,
        cast(count(*) as bigint) as conversions
    from touches
    where touch = touches
    group by tenant_key, week_start, conversion

),

final as (

    select
        by_source.*,
        weeks.conversions as conversions_in_week,
        {{ sample_state('weeks.conversions') }} as state
    from by_source
    inner join weeks
        on by_source.tenant_key = weeks.tenant_key
        and by_source.week_start = weeks.week_start
        and by_source.conversion = weeks.conversion

)

select * from final
