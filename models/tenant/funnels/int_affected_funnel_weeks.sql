{%- set attempts = built('fct_funnel_attempts') -%}

with days as (

    select * from {{ ref('int_affected_days') }}

),

funnels as (

    select * from {{ ref('dim_funnels') }}

),

spans as (

    select
        tenant_key,
        min(activity_date) as first_day,
        max(activity_date) as last_day
    from days
    group by tenant_key

),

-- a funnel that is declared no more leaves its attempts behind
reaches as (

    select
        tenant_key,
        funnel,
        max(days) as days
    from (
        select
            tenant_key,
            funnel,
            cast({{ integer_division('window_hours + 23', 24) }} as integer) as days
        from funnels
        {%- if attempts %}
        union all
        select distinct
            tenant_key,
            funnel,
            0 as days
        from {{ attempts }}
        {%- endif %}
    ) as known
    group by tenant_key, funnel

),

-- an event can end attempts that began its window ago, in a week that began up to six days before that; where a tenant
-- moves to another time zone, a later event may have an earlier date
weeks as (

    select
        spans.tenant_key,
        reaches.funnel,
        spans.first_day - reaches.days - 8 as first_week,
        spans.last_day + 2 as last_week
    from spans
    inner join reaches on spans.tenant_key = reaches.tenant_key

)

select * from weeks
