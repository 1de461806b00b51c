with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

active_events as (

    select * from {{ source('control', 'active_events') }}

),

zones as (

    select * from {{ ref('int_tenant_zones') }}

),

rules as (

    {{ of_tenants('active_events') }}

),

versions as (

    select
        tenant_key,
        valid_from,
        {{ sorted_set('event_name') }} as event_names
    from rules
    group by tenant_key, valid_from

),

-- half-open, by the tenant's local date; the first version also covers what came before it
dated as (

    select
        versions.*,
        row_number() over (partition by versions.tenant_key order by versions.valid_from) = 1 as is_first,
        {{ version_start('zones.timezone', 'versions.tenant_key') }} as starts_at
    from versions
    inner join zones
        on versions.tenant_key = zones.tenant_key
        and versions.valid_from >= zones.first_day
        and versions.valid_from < zones.end_day

),

bounded as (

    select
        tenant_key,
        case when is_first then timestamp '1900-01-01' else starts_at end as valid_from_at,
        {{ version_end('tenant_key') }} as valid_to_at,
        event_names
    from dated

)

select * from bounded
