with exposure_days as (

    select * from {{ ref('fct_exposure_days') }}

),

success_days as (

    select * from {{ ref('fct_success_days') }}

),

-- of two variants at one instant, the first by name
ranked as (

    select
        *,
        row_number() over (
            partition by tenant_key, experiment, person_key
            order by first_at, variant
        ) as place,
        min(variant) over (partition by tenant_key, experiment, person_key)
        <> max(variant) over (partition by tenant_key, experiment, person_key) as is_crossover
    from exposure_days

),

last_successes as (

    select
        tenant_key,
        experiment,
        person_key,
        max(last_at) as last_at
    from success_days
    group by tenant_key, experiment, person_key

),

-- whoever succeeds at all after being exposed does so, for the last time, after being exposed
persons as (

    select
        ranked.tenant_key,
        ranked.experiment,
        ranked.person_key,
        ranked.variant,
        ranked.activity_date as exposed_on,
        ranked.is_crossover,
        ranked.excluded_as,
        coalesce(last_successes.last_at > ranked.first_at, false) as is_converted
    from ranked
    left join last_successes
        on ranked.tenant_key = last_successes.tenant_key
        and ranked.experiment = last_successes.experiment
        and ranked.person_key = last_successes.person_key
    where ranked.place = 1

)

select * from persons
