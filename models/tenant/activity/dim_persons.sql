with person_days as (

    select * from {{ ref('fct_person_days') }}

),

persons as (

    select
        tenant_key,
        person_key,
        min(activity_date) as first_active_date,
        max(activity_date) as last_active_date,
        count(*) as active_days
    from person_days
    where is_active
    group by tenant_key, person_key

)

select * from persons
