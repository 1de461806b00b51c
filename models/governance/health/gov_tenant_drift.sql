with run as (

    select
        as_of,
        cast(as_of + 1 as timestamp) as closed_at
    from {{ source('control', 'run_control') }}

),

keys as (

    select * from {{ source('keyring', 'tenant_keys') }}

),

drift as (

    select * from {{ ref('gov_schema_drift') }}

),

counted as (

    select
        keys.tenant_key,
        sum(case when drift.kind = 'new' then 1 else 0 end) as new_properties,
        sum(case when drift.kind = 'missing' then 1 else 0 end) as missing_properties,
        sum(case when drift.kind = 'retyped' then 1 else 0 end) as retyped_properties
    from drift
    inner join keys on drift.tenant_id = keys.tenant_id
    inner join run
        on drift.since >= run.closed_at - interval 7 day
        and drift.since < run.closed_at
    group by keys.tenant_key

)

select * from counted
