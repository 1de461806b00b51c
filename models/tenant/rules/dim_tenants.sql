with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

registry as (

    select * from {{ source('control', 'registry_tenants') }}

),

listed as (

    select distinct tenant_id from registry

),

-- a tenant that the registry does not list lives by the row `*`
versions as (

    select
        keys.tenant_key,
        case
            when keys.tenant_id = '*' then 'default'
            when listed.tenant_id is null then 'unlisted'
            else 'listed'
        end as listing,
        registry.*
    from keys
    left join listed on keys.tenant_id = listed.tenant_id
    inner join registry on coalesce(listed.tenant_id, '*') = registry.tenant_id

),

-- half-open, by the tenant's local date; the first version also covers what came before it
dated as (

    select
        *,
        row_number() over (partition by tenant_key order by valid_from) = 1 as is_first,
        {{ local_midnight('valid_from', 'timezone') }} as starts_at
    from versions

),

bounded as (

    select
        tenant_key,
        valid_from,
        case when is_first then timestamp '1900-01-01' else starts_at end as valid_from_at,
        coalesce(
            lead(starts_at) over (partition by tenant_key order by valid_from),
            timestamp '2200-01-01'
        ) as valid_to_at,
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
        2 as max_users_per_device,
        5 as max_users_per_person,
        2000 as bot_daily_events,
        20 as bot_daily_hours
    from dated

)

select * from bounded
