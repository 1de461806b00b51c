{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_tenants',
        'affected_when': 'kept.tenant_key = affected.tenant_key',
    },
) }}

with affected as (

    select * from {{ ref('int_affected_tenants') }}

),

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

persons as (

    {{ of_affected(ref('dim_persons')) }}

),

members as (

    select
        persons.tenant_key,
        persons.person_key,
        persons.first_active_date,
        person_days.week_start as cohort_week
    from persons
    inner join person_days
        on persons.tenant_key = person_days.tenant_key
        and persons.person_key = person_days.person_key
        and persons.first_active_date = person_days.activity_date

),

active_days as (

    select
        members.*,
        {{ days_between('members.first_active_date', 'person_days.activity_date') }} as age,
        {{ days_between('members.first_active_date', 'person_days.previous_active_date') }} as previous_age,
        {{ days_between('members.cohort_week', 'person_days.week_start') }} as days_from_cohort
    from members
    inner join person_days
        on members.tenant_key = person_days.tenant_key
        and members.person_key = person_days.person_key
    where person_days.is_active

),

-- a week that overlaps the cohort's own, because the tenant moved the beginning of its week, is no earlier one
active_weeks as (

    select distinct
        tenant_key,
        cohort_week,
        person_key,
        first_active_date,
        {{ integer_division('greatest(days_from_cohort, 0)', 7) }} as age
    from active_days

),

on_both_clocks as (

    select
        tenant_key,
        cohort_week,
        first_active_date,
        'rolling' as clock,
        age,
        previous_age
    from active_days
    union all
    select
        tenant_key,
        cohort_week,
        first_active_date,
        'calendar' as clock,
        age,
        lag(age) over (partition by tenant_key, person_key order by age) as previous_age
    from active_weeks

),

ages as (

    select
        tenant_key,
        cohort_week,
        clock,
        age,
        coalesce(previous_age, -1) as previous_age,
        count(*) as users,
        max(first_active_date) as last_joined_on
    from on_both_clocks
    group by tenant_key, cohort_week, clock, age, previous_age

)

select * from ages
