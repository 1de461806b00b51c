with slots as (

    select * from {{ source('answers', 'answer_slots') }}

),

figures as (

    select * from {{ source('answers', 'answer_figures') }}

),

-- tolerance looks at public standard deviations and the noisy number of users, never at the figure itself
judged as (

    select
        slots.release,
        slots.period,
        slots.period_start,
        slots.period_end,
        slots.lookback_start,
        slots.unit,
        slots.mechanism,
        slots.rho,
        slots.epsilon,
        slots.delta,
        slots.tolerance_points,
        slots.policy_version,
        figures.cohort_level,
        figures.cohort_key,
        figures.cohort_industry,
        figures.cohort_region,
        figures.cohort_size_band,
        figures.segment,
        figures.metric,
        figures.key,
        figures.kind,
        figures.estimand,
        figures.estimate,
        figures.estimate_low,
        figures.estimate_high,
        figures.error_points,
        figures.amount,
        figures.amount_sigma,
        figures.users,
        figures.users_sigma,
        case when slots.is_answered then slots.answer_id end as answer_id,
        case
            when not slots.is_answered then 'budget'
            when not figures.is_eligible then 'ineligible'
            when coalesce(figures.error_points > slots.tolerance_points, true) then 'imprecise'
            else 'released'
        end as status
    from slots
    inner join figures on slots.answer_id = figures.answer_id

),

-- where a figure is withheld, the narrowest cohort around it that has one
wider as (

    select
        withheld.release,
        withheld.period,
        withheld.period_start,
        withheld.cohort_level,
        withheld.cohort_key,
        withheld.segment,
        withheld.metric,
        withheld.key,
        wide.cohort_level as rolled_up_level,
        wide.cohort_key as rolled_up_key,
        row_number() over (
            partition by
                withheld.release, withheld.period, withheld.period_start, withheld.cohort_level, withheld.cohort_key,
                withheld.segment, withheld.metric, withheld.key
            order by
                cast(wide.cohort_industry = '*' as integer) + cast(wide.cohort_region = '*' as integer)
                + cast(wide.cohort_size_band = '*' as integer), wide.cohort_level, wide.cohort_key
        ) as nearness
    from judged as withheld
    inner join judged as wide
        on withheld.release = wide.release
        and withheld.period = wide.period
        and withheld.period_start = wide.period_start
        and withheld.segment is not distinct from wide.segment
        and withheld.metric = wide.metric
        and withheld.key is not distinct from wide.key
        and wide.cohort_industry in ('*', withheld.cohort_industry)
        and wide.cohort_region in ('*', withheld.cohort_region)
        and wide.cohort_size_band in ('*', withheld.cohort_size_band)
    where
        withheld.status <> 'released'
        and wide.status = 'released'
        and wide.cohort_level <> 'atom'

),

rolled_up as (

    select
        judged.*,
        wider.rolled_up_level,
        wider.rolled_up_key
    from judged
    left join wider
        on judged.release = wider.release
        and judged.period = wider.period
        and judged.period_start = wider.period_start
        and judged.cohort_level = wider.cohort_level
        and judged.cohort_key = wider.cohort_key
        and judged.segment is not distinct from wider.segment
        and judged.metric = wider.metric
        and judged.key is not distinct from wider.key
        and wider.nearness = 1

)

select * from rolled_up
