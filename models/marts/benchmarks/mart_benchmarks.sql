with figures as (

    select * from {{ ref('int_benchmark_figures') }}

),

final as (

    select
        release,
        period,
        period_start,
        period_end,
        lookback_start,
        cohort_level,
        cohort_key,
        cohort_industry,
        cohort_region,
        cohort_size_band,
        coalesce(segment, '*') as segment,
        metric,
        coalesce(key, '*') as metric_key,
        kind,
        status,
        case when status = 'released' then estimate end as estimate,
        case when status = 'released' then estimate_low end as estimate_low,
        case when status = 'released' then estimate_high end as estimate_high,
        case when status = 'released' then users end as users,
        users_sigma,
        error_points,
        rolled_up_level,
        rolled_up_key,
        unit,
        mechanism,
        estimand,
        rho,
        epsilon,
        delta,
        tolerance_points,
        policy_version,
        answer_id
    from figures

)

select * from final
