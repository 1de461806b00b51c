with comparisons as (

    select * from {{ source('comparisons', 'benchmark_comparisons') }}

),

final as (

    select
        tenant_key,
        release,
        period,
        period_start,
        period_end,
        coalesce(segment, '*') as segment,
        metric,
        coalesce(key, '*') as key,
        kind,
        estimand,
        status,
        cohort_level,
        cohort_key as cohort,
        is_in_cohort,
        tenant_users,
        {{ sample_state('tenant_users') }} as tenant_state,
        tenant_estimate,
        others_users,
        others_estimate,
        others_estimate_low,
        others_estimate_high,
        difference,
        is_more_than_noise
    from comparisons

)

select * from final
