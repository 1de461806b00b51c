select
    cast(null as varchar) as tenant_key,
    cast(null as varchar) as unit_key,
    cast(null as varchar) as listed_as,
    cast(null as timestamp) as valid_from_at,
    cast(null as timestamp) as valid_to_at
where false
