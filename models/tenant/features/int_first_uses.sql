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

feature_days as (

    {{ of_affected(ref('fct_person_feature_days')) }}

),

persons as (

    {{ of_affected(ref('dim_persons')) }}

),

of_each as (

    select
        tenant_key,
        person_key,
        feature,
        min(activity_date) as first_used_on,
        {{ first_by('week_start', 'activity_date') }} as week_start
    from feature_days
    group by tenant_key, person_key, feature

),

of_each_and_any as (

    select * from of_each
    union all
    select
        tenant_key,
        person_key,
        '*' as feature,
        min(first_used_on) as first_used_on,
        {{ first_by('week_start', 'first_used_on') }} as week_start
    from of_each
    group by tenant_key, person_key

),

first_uses as (

    select
        of_each_and_any.*,
        {{ days_between('persons.first_active_date', 'of_each_and_any.first_used_on') }} as days_to_first_use
    from of_each_and_any
    inner join persons
        on of_each_and_any.tenant_key = persons.tenant_key
        and of_each_and_any.person_key = persons.person_key

)

select * from first_uses
