select
    cast(null as varchar) as tenant_key,
    cast(null as varchar) as conversion,
    cast(null as varchar) as event_name,
    cast(null as integer) as lookback_days
where false
