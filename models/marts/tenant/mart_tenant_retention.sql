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

ages as (

    {{ of_affected(ref('int_retention_ages')) }}

),

weeks as (

    {{ of_affected(ref('int_tenant_weeks')) }}

),

-- a period without an end is over where it begins: from then on the figure can only grow
periods as (

    select
        *,
        case unit when 'week' then 7 else 1 end as days_per_unit,
        cast(coalesce(period_to, period_from) as integer) as last_age
    from {{ ref('retention_periods') }}

),

-- a member counts once in a period, where it is active for the first time in it: the time before lies before the period
retained as (

    select
        ages.tenant_key,
        ages.cohort_week,
        periods.method,
        periods.clock,
        periods.period,
        sum(ages.users) as retained_users
    from ages
    inner join periods
        on ages.clock = periods.clock
        and ages.previous_age < periods.period_from
        and ages.age between periods.period_from and coalesce(periods.period_to, ages.age)
    group by ages.tenant_key, ages.cohort_week, periods.method, periods.clock, periods.period

),

cohorts as (

    select
        tenant_key,
        cohort_week,
        users as cohort_users,
        last_joined_on
    from ages
    where clock = 'rolling' and age = 0

),

-- weeks without a cohort have cells too, up to the last one with
cohort_weeks as (

    select
        weeks.tenant_key,
        weeks.week_start as cohort_week,
        coalesce(cohorts.cohort_users, 0) as cohort_users,
        cohorts.last_joined_on,
        max(weeks.last_day) over (partition by weeks.tenant_key) as last_day,
        weeks.week_number <= max(case when cohorts.cohort_users > 0 then weeks.week_number end) over (
            partition by weeks.tenant_key
        ) as is_within
    from weeks
    left join cohorts
        on weeks.tenant_key = cohorts.tenant_key
        and weeks.week_start = cohorts.cohort_week

),

-- the first week that is not over on the tenant's last day
open_weeks as (

    select
        tenant_key,
        {{ last_by('case when last_day = week_start + 6 then week_start + 7 else week_start end', 'week_number') }} as open_week
    from weeks
    group by tenant_key

),

cells as (

    select
        cohort_weeks.*,
        periods.method,
        periods.clock,
        periods.period,
        periods.period_from,
        cohort_weeks.cohort_users > 0 and case periods.clock
            when 'rolling' then cohort_weeks.last_joined_on + periods.last_age > cohort_weeks.last_day
            else open_weeks.open_week < cohort_weeks.cohort_week + 7 * (periods.last_age + 1)
        end as is_immature
    from cohort_weeks
    inner join open_weeks on cohort_weeks.tenant_key = open_weeks.tenant_key
    inner join periods on cohort_weeks.cohort_week + periods.period_from * periods.days_per_unit <= cohort_weeks.last_day
    where cohort_weeks.is_within

),

final as (

    select
        cells.tenant_key,
        cells.method,
        cells.clock,
        cells.cohort_week,
        cells.period,
        cast(cells.period_from as bigint) as period_from,
        cast(cells.cohort_users as bigint) as cohort_users,
        cast(coalesce(retained.retained_users, 0) as bigint) as retained_users,
        {{ rate('coalesce(retained.retained_users, 0)', 'cells.cohort_users') }} as retention_rate,
        {{ wilson_low('coalesce(retained.retained_users, 0)', 'cells.cohort_users') }} as retention_rate_low,
        {{ wilson_high('coalesce(retained.retained_users, 0)', 'cells.cohort_users') }} as retention_rate_high,
        case when cells.is_immature then 'immature' else {{ sample_state('cells.cohort_users') }} end as retention_rate_state
    from cells
    left join retained
        on cells.tenant_key = retained.tenant_key
        and cells.cohort_week = retained.cohort_week
        and cells.method = retained.method
        and cells.clock = retained.clock
        and cells.period = retained.period

)

select * from final
