{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_weeks',
        'affected_when': 'kept.tenant_key = affected.tenant_key '
            'and kept.week_start between affected.first_week and affected.last_week',
        'affected_from': ['week_start', 'first_week'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_weeks') }}

),

person_days as (

    {{ of_affected(ref('fct_person_days')) }}

),

account_days as (

    {{ of_affected(ref('fct_account_days')) }}

),

active_weeks as (

    select distinct
        tenant_key,
        'users' as population,
        person_key as member_key,
        week_start
    from person_days
    where is_active
    union all
    select distinct
        tenant_key,
        'accounts' as population,
        account_key as member_key,
        week_start
    from account_days

)

select * from active_weeks
