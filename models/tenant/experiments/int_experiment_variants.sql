with persons as (

    select * from {{ ref('int_experiment_persons') }}

),

variants as (

    select * from {{ ref('dim_experiment_variants') }}

),

tenant_days as (

    select distinct tenant_key from {{ ref('fct_person_days') }}

),

counted as (

    select
        *,
        excluded_as is null and not is_crossover as is_counted
    from persons

),

-- each variant of a tenant that has sent anything, seen or not
by_variant as (

    select
        variants.tenant_key,
        variants.experiment,
        variants.variant,
        variants.weight,
        count(case when counted.is_counted then 1 end) as exposed_users,
        count(case when counted.excluded_as is null and counted.is_crossover then 1 end) as crossovers,
        count(case when counted.excluded_as is not null then 1 end) as excluded_users,
        count(case when counted.is_counted and counted.is_converted then 1 end) as converted_users,
        min(case when counted.excluded_as is null then counted.exposed_on end) as first_exposed_on
    from variants
    inner join tenant_days on variants.tenant_key = tenant_days.tenant_key
    left join counted
        on variants.tenant_key = counted.tenant_key
        and variants.experiment = counted.experiment
        and variants.variant = counted.variant
    group by variants.tenant_key, variants.experiment, variants.variant, variants.weight

)

select * from by_variant
