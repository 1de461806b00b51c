with slots as (

    select * from {{ source('answers', 'answer_slots') }}
    where release = 'feature_usage'

),

answers as (

    select * from {{ source('answers', 'answer_values') }}

),

active_users as (

    select * from answers
    where metric = 'active_users'

),

adopters as (

    select * from answers
    where metric = 'adopters'

),

paired as (

    select
        slots.*,
        adopters.cohort_level,
        adopters.cohort_key,
        adopters.cohort_industry,
        adopters.cohort_region,
        adopters.cohort_size_band,
        adopters.key as feature,
        adopters.is_eligible,
        active_users.value as noisy_active_users,
        active_users.sigma as active_users_sigma,
        adopters.value as noisy_adopters,
        adopters.sigma as adopters_sigma
    from slots
    inner join adopters on slots.answer_id = adopters.answer_id
    inner join active_users
        on adopters.answer_id = active_users.answer_id
        and adopters.cohort_level = active_users.cohort_level
        and adopters.cohort_key = active_users.cohort_key

),

-- tolerance looks at public sigma and the cohort's noisy size, never at the cell's own noisy value
judged as (

    select
        *,
        case
            when not is_answered then 'budget'
            when not is_eligible then 'ineligible'
            when coalesce(
                100 * {{ ratio_half_width('adopters_sigma', 'noisy_active_users', 'active_users_sigma') }} > tolerance_points,
                true
            ) then 'imprecise'
            else 'released'
        end as status
    from paired

),

withheld as (

    select
        *,
        case when status = 'released' then noisy_active_users end as active_users,
        case when status = 'released' then noisy_adopters end as adopters
    from judged

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
        feature,
        status,
        active_users,
        active_users_sigma,
        adopters,
        adopters_sigma,
        adopters / active_users as adoption_share,
        {{ fieller_bound('-', 'adopters', 'adopters_sigma', 'active_users', 'active_users_sigma') }} as adoption_share_low,
        {{ fieller_bound('+', 'adopters', 'adopters_sigma', 'active_users', 'active_users_sigma') }} as adoption_share_high,
        unit,
        mechanism,
        estimand,
        rho,
        epsilon,
        delta,
        tolerance_points,
        policy_version,
        case when is_answered then answer_id end as answer_id
    from withheld

)

select * from final
