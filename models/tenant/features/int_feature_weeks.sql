{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_weeks',
        'affected_when': 'kept.tenant_key = affected.tenant_key '
            'and kept.week_start between affected.first_week and affected.last_week',
        'affected_from': ['week_start', 'first_week'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_weeks') }}

),

feature_days as (

    {{ of_affected(ref('fct_person_feature_days')) }}

),

person_weeks as (

    select
        tenant_key,
        week_start,
        person_key,
        feature,
        sum(uses) as uses
    from feature_days
    group by tenant_key, week_start, person_key, feature

),

-- a person's week of any feature stands beside those of each
breadths as (

    select
        tenant_key,
        week_start,
        person_key,
        '*' as feature,
        sum(uses) as uses,
        count(*) as features
    from person_weeks
    group by tenant_key, week_start, person_key

),

adoptions as (

    select * from breadths
    union all
    select
        person_weeks.*,
        breadths.features
    from person_weeks
    inner join breadths
        on person_weeks.tenant_key = breadths.tenant_key
        and person_weeks.week_start = breadths.week_start
        and person_weeks.person_key = breadths.person_key

),

adopted as (

    select
        tenant_key,
        week_start,
        feature,
        count(*) as adopters,
        sum(uses) as uses,
        sum(features) as features
    from adoptions
    group by tenant_key, week_start, feature

)

select * from adopted
