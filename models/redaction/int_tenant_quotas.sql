with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

registry as (

    select * from {{ source('control', 'registry_tenants') }}

),

run as (

    select as_of from {{ source('control', 'run_control') }}

),

listed as (

    select distinct tenant_id from registry

),

-- the version of the as-of day; before the first one, the first one
ranked as (

    select
        keys.tenant_key,
        registry.daily_event_quota,
        coalesce(registry.daily_user_quota, registry.daily_event_quota) as daily_user_quota,
        bool_or(registry.benchmark_consent) over (partition by keys.tenant_key) as was_ever_in_benchmarks,
        row_number() over (
            partition by keys.tenant_key
            order by
                registry.valid_from <= run.as_of desc,
                case when registry.valid_from <= run.as_of then registry.valid_from end desc,
                registry.valid_from
        ) as recency
    from keys
    cross join run
    left join listed on keys.tenant_id = listed.tenant_id
    inner join registry on coalesce(listed.tenant_id, '*') = registry.tenant_id

),

quotas as (

    select
        tenant_key,
        daily_event_quota,
        daily_user_quota,
        was_ever_in_benchmarks
    from ranked
    where recency = 1

)

select * from quotas
