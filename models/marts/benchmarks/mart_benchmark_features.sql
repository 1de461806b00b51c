with figures as (

    select * from {{ ref('int_benchmark_figures') }}
    where release = 'feature_usage' and metric = 'adoption'

),

final as (

    select
        period,
        period_start,
        period_end,
        cohort_level,
        cohort_key,
        cohort_industry,
        cohort_region,
        cohort_size_band,
        key as feature,
        status,
        case when status = 'released' then users end as active_users,
        users_sigma as active_users_sigma,
        case when status = 'released' then amount end as adopters,
        amount_sigma as adopters_sigma,
        case when status = 'released' then estimate end as adoption_share,
        case when status = 'released' then estimate_low end as adoption_share_low,
        case when status = 'released' then estimate_high end as adoption_share_high,
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
