{{ config(materialized='view') }}

with sessions as (

    select * from {{ ref('fct_sessions') }}

),

session_days as (

    select
        tenant_key,
        session_date as activity_date,
        count(*) as sessions,
        sum(duration_ms) as duration_ms
    from sessions
    group by tenant_key, session_date

)

select * from session_days
