select
    cast(null as varchar) as tenant_key,
    cast(null as timestamp) as valid_from_at,
    cast(null as timestamp) as valid_to_at,
    cast(null as varchar[]) as event_names
where false
