with tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- half-open by local date; whatever a rule says of a day, it says it by the clock of that day
spans as (

    select
        tenant_key,
        timezone,
        case when lag(valid_from) over versions is null then date '0001-01-01' else valid_from end as first_day,
        coalesce(lead(valid_from) over versions, date '9999-12-31') as end_day
    from tenants
    where listing <> 'default'
    window versions as (partition by tenant_key order by valid_from)

)

select * from spans
