with variants as (

    select * from {{ ref('int_experiment_variants') }}

),

experiments as (

    select * from {{ ref('dim_experiments') }}

),

-- "now" of a tenant is its own last day with an event, which may have more to come
spans as (

    select
        tenant_key,
        max(activity_date) - 1 as last_full_day
    from {{ ref('fct_person_days') }}
    group by tenant_key

),

with_totals as (

    select
        *,
        sum(exposed_users) over (partition by tenant_key, experiment) as all_users,
        sum(weight) over (partition by tenant_key, experiment) as all_weights
    from variants

),

by_experiment as (

    select
        tenant_key,
        experiment,
        all_users,
        all_weights,
        count(*) as variants,
        min(exposed_users) as smallest_sample,
        min(first_exposed_on) as first_exposed_on,
        sum({{ chi_square_term('exposed_users', 'all_users', 'weight', 'all_weights') }}) as ratio_chi_square
    from with_totals
    group by tenant_key, experiment, all_users, all_weights

),

checked as (

    select
        by_experiment.*,
        coalesce(
            greatest(0, least(experiments.ends_on, spans.last_full_day) - by_experiment.first_exposed_on + 1),
            0
        ) as days_observed,
        by_experiment.variants - 1 as ratio_degrees,
        coalesce(
            by_experiment.ratio_chi_square > {{ chi_square_critical('by_experiment.variants - 1') }},
            false
        ) as is_mismatched,
        experiments.control,
        experiments.starts_on,
        experiments.ends_on,
        experiments.min_sample,
        experiments.min_days
    from by_experiment
    inner join experiments
        on by_experiment.tenant_key = experiments.tenant_key
        and by_experiment.experiment = experiments.experiment
    inner join spans on by_experiment.tenant_key = spans.tenant_key

),

-- the gravest reason comes first: users that went astray are no matter of waiting
judged as (

    select
        *,
        case
            when is_mismatched then 'sample_ratio_mismatch'
            when smallest_sample < min_sample then 'too_few_users'
            when days_observed < min_days then 'too_few_days'
        end as verdict_reason
    from checked

)

select * from judged
