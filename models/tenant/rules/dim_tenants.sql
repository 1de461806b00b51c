with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

registry as (

    select * from {{ source('control', 'registry_tenants') }}

),

versions as (

    {{ of_tenants('registry') }}

),

-- half-open, by the tenant's local date; the first version also covers what came before it
dated as (

    select
        *,
        row_number() over (partition by tenant_key order by valid_from) = 1 as is_first,
        {{ version_start('timezone', 'tenant_key') }} as starts_at
    from versions

),

bounded as (

    select
        tenant_key,
        valid_from,
        case when is_first then timestamp '1900-01-01' else starts_at end as valid_from_at,
        {{ version_end('tenant_key') }} as valid_to_at,
        listing,
        industry,
        region,
        size_band,
        plan,
        owner_group,
        timezone,
        week_start,
        session_timeout_minutes,
        freshness_sla_hours,
        benchmark_consent,
        publish_bundle,
        max_users_per_device,
        max_users_per_person,
        bot_daily_events,
        bot_daily_hours
    from dated

)

select * from bounded
