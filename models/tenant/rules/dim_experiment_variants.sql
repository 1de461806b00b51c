with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

experiment_variants as (

    select * from {{ source('control', 'experiment_variants') }}

),

rules as (

    {{ of_tenants('experiment_variants') }}

),

by_tenant as (

    select
        tenant_key,
        experiment,
        variant,
        weight
    from rules
    where listing <> 'default'

)

select * from by_tenant
