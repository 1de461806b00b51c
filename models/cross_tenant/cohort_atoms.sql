with members as (

    select * from {{ ref('cohort_tenants') }}

),

atoms as (

    select distinct
        period_start,
        cohort_key,
        cohort_industry,
        cohort_region,
        cohort_size_band
    from members

)

select * from atoms
