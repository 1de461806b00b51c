with periods as (

    select distinct period_start
    from {{ source('cross_tenant_control', 'release_periods') }}

),

members as (

    select * from {{ ref('cohort_tenants') }}

),

transitions as (

    select * from {{ ref('cohort_transitions') }}

),

atoms as (

    select distinct
        members.period_start,
        members.cohort_key,
        members.cohort_industry,
        members.cohort_region,
        members.cohort_size_band,
        members.cohort_sector,
        members.cohort_wider_region,
        transitions.cohort_key is not null as is_in_transition
    from members
    semi join periods on members.period_start = periods.period_start
    left join transitions
        on members.period_start = transitions.period_start
        and members.cohort_key = transitions.cohort_key

)

select * from atoms
