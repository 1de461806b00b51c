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

-- each row of a funnel says the same of it
by_funnel as (

    select
        tenant_key,
        funnel,
        sequence,
        window_hours,
        grain,
        held_property,
        cast(count(*) as integer) as steps
    from rules
    where listing <> 'default'
    group by tenant_key, funnel, sequence, window_hours, grain, held_property

)

select * from by_funnel
