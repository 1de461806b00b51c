with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

funnels as (

    select * from {{ source('control', 'funnels') }}

),

rules as (

    {{ of_tenants('funnels') }}

),

steps as (

    select
        tenant_key,
        funnel,
        step,
        step_name,
        event_name,
        feature
    from rules
    where listing <> 'default'

)

select * from steps
