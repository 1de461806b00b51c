with periods as (

    select * from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'feature_usage'

),

keys as (

    select key as feature
    from {{ source('cross_tenant_control', 'release_keys') }}
    where release = 'feature_usage'

),

atoms as (

    select * from {{ ref('cohort_atoms') }}

),

unit_features as (

    select * from {{ ref('cohort_unit_features') }}
    where release = 'feature_usage'

),

units as (

    select
        unit_features.period_start,
        unit_features.cohort_key,
        unit_features.contributor_key,
        unit_features.tenant_key,
        unit_features.unit_key,
        {{ bounded_weight('max(periods.value_scale)', 'max(periods.max_cells)', 'count(unit_features.feature)') }} as weight
    from unit_features
    inner join periods on unit_features.period_start = periods.period_start
    group by all

),

contributors as (

    select
        period_start,
        cohort_key,
        contributor_key,
        count(*) as users
    from units
    group by period_start, cohort_key, contributor_key

),

contributor_features as (

    select
        unit_features.period_start,
        unit_features.cohort_key,
        unit_features.contributor_key,
        unit_features.feature,
        sum(units.weight) as adopters
    from unit_features
    inner join units using (period_start, cohort_key, contributor_key, tenant_key, unit_key)
    where unit_features.feature is not null
    group by all

),

cells as (

    select
        contributors.period_start,
        contributors.cohort_key,
        'active_users' as metric,
        cast(null as varchar) as key,
        sum(periods.count_scale * least(contributors.users, periods.tenant_cap)) as value
    from contributors
    inner join periods on contributors.period_start = periods.period_start
    group by contributors.period_start, contributors.cohort_key

    union all

    select
        contributor_features.period_start,
        contributor_features.cohort_key,
        'adopters' as metric,
        contributor_features.feature as key,
        sum({{ tenant_balanced('contributor_features.adopters', 'contributors.users', 'periods.tenant_cap') }}) as value
    from contributor_features
    inner join contributors using (period_start, cohort_key, contributor_key)
    inner join periods on contributor_features.period_start = periods.period_start
    group by contributor_features.period_start, contributor_features.cohort_key, contributor_features.feature

),

-- every cell of the public keyset has a row, empty or not
keyset as (

    select
        period_start,
        cohort_key,
        'active_users' as metric,
        cast(null as varchar) as key
    from atoms
    union all
    select
        atoms.period_start,
        atoms.cohort_key,
        'adopters' as metric,
        keys.feature as key
    from atoms
    cross join keys

),

final as (

    select
        keyset.period_start,
        keyset.cohort_key,
        keyset.metric,
        keyset.key,
        cast(coalesce(cells.value, 0) as bigint) as value
    from keyset
    left join cells
        on keyset.period_start = cells.period_start
        and keyset.cohort_key = cells.cohort_key
        and keyset.metric = cells.metric
        and keyset.key is not distinct from cells.key

)

select * from final
