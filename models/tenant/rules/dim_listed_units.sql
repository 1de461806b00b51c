with listed as (

    select * from {{ ref('int_listed_units') }}

),

zones as (

    select * from {{ ref('int_tenant_zones') }}

),

-- half-open, by the tenant's local date; whoever is listed was not before
dated as (

    select
        listed.*,
        {{ version_start('zones.timezone', 'listed.tenant_key, listed.unit_key') }} as starts_at
    from listed
    inner join zones
        on listed.tenant_key = zones.tenant_key
        and listed.valid_from >= zones.first_day
        and listed.valid_from < zones.end_day

),

bounded as (

    select
        tenant_key,
        unit_key,
        listed_as,
        starts_at as valid_from_at,
        {{ version_end('tenant_key, unit_key') }} as valid_to_at
    from dated

),

still_listed as (

    select * from bounded
    where listed_as <> 'none'

)

select * from still_listed
