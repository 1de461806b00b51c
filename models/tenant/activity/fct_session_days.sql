{{ config(materialized='view') }}

with sessions as (

    select * from {{ ref('fct_sessions') }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}

),

session_days as (

    select
        sessions.tenant_key,
        sessions.session_date as activity_date,
        count(*) as sessions,
        sum(sessions.duration_ms) as duration_ms,
        sum(sessions.engaged_ms) as engaged_ms
    from sessions
    inner join person_days
        on sessions.tenant_key = person_days.tenant_key
        and sessions.person_key = person_days.person_key
        and sessions.session_date = person_days.activity_date
    where person_days.excluded_as is null
    group by sessions.tenant_key, sessions.session_date

)

select * from session_days
