with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

today as (

    select * from {{ source('control', 'registry_today') }}

),

ever as (

    select
        tenant_id,
        bool_or(benchmark_consent) as was_ever_in_benchmarks
    from {{ source('control', 'registry_tenants') }}
    group by tenant_id

),

owned as (

    select
        keys.tenant_key,
        coalesce(own.tenant_id, '*') as rules_of
    from keys
    left join today as own on keys.tenant_id = own.tenant_id

),

quotas as (

    select
        owned.tenant_key,
        today.daily_event_quota,
        coalesce(today.daily_user_quota, today.daily_event_quota) as daily_user_quota,
        ever.was_ever_in_benchmarks
    from owned
    inner join today on owned.rules_of = today.tenant_id
    inner join ever on owned.rules_of = ever.tenant_id

)

select * from quotas
