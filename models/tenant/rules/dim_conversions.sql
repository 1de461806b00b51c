with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

conversions as (

    select * from {{ source('control', 'conversions') }}

),

rules as (

    {{ of_tenants('conversions') }}

),

by_tenant as (

    select
        tenant_key,
        conversion,
        event_name,
        lookback_days
    from rules
    where listing <> 'default'

)

select * from by_tenant
