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

active_weeks as (

    {{ of_affected(ref('int_active_weeks')) }}

),

adopted as (

    {{ of_affected(ref('int_feature_weeks')) }}

),

first_uses as (

    {{ of_affected(ref('int_first_uses')) }}

),

weeks as (

    {{ of_affected(ref('int_tenant_weeks')) }}

),

active as (

    select
        tenant_key,
        week_start,
        count(*) as active_users
    from active_weeks
    where population = 'users'
    group by tenant_key, week_start

),

newly_adopted as (

    select
        tenant_key,
        week_start,
        feature,
        count(*) as new_adopters,
        {{ lower_median('days_to_first_use') }} as median_days_to_first_use
    from first_uses
    group by tenant_key, week_start, feature

),

-- a row for each feature that the tenant ever used, and one for any of them
features as (

    select
        tenant_key,
        feature
    from adopted
    union
    select
        tenant_key,
        '*' as feature
    from weeks

),

final as (

    select
        weeks.tenant_key,
        weeks.week_start,
        features.feature,
        cast(coalesce(active.active_users, 0) as bigint) as active_users,
        cast(coalesce(adopted.adopters, 0) as bigint) as adopters,
        {{ rate('coalesce(adopted.adopters, 0)', 'active.active_users') }} as adoption_rate,
        {{ wilson_low('coalesce(adopted.adopters, 0)', 'active.active_users') }} as adoption_rate_low,
        {{ wilson_high('coalesce(adopted.adopters, 0)', 'active.active_users') }} as adoption_rate_high,
        {{ sample_state('active.active_users') }} as adoption_rate_state,
        cast(coalesce(adopted.uses, 0) as bigint) as uses,
        {{ exact_ratio('adopted.uses', 'adopted.adopters') }} as uses_per_adopter,
        {{ exact_ratio('adopted.features', 'adopted.adopters') }} as features_per_adopter,
        cast(coalesce(newly_adopted.new_adopters, 0) as bigint) as new_adopters,
        cast(newly_adopted.median_days_to_first_use as bigint) as median_days_to_first_use
    from weeks
    inner join features on weeks.tenant_key = features.tenant_key
    left join active
        on weeks.tenant_key = active.tenant_key
        and weeks.week_start = active.week_start
    left join adopted
        on weeks.tenant_key = adopted.tenant_key
        and weeks.week_start = adopted.week_start
        and features.feature = adopted.feature
    left join newly_adopted
        on weeks.tenant_key = newly_adopted.tenant_key
        and weeks.week_start = newly_adopted.week_start
        and features.feature = newly_adopted.feature

)

select * from final
