{#- The objective: of the last 28 days that are due, 95 of a hundred within the time agreed. -#}
{%- set objective_days = 28 -%}
{%- set objective_percent = 95 -%}

with tenants as (

    select distinct tenant_key
    from {{ ref('dim_tenants') }}
    where listing <> 'default'

),

health_days as (

    select * from {{ ref('gov_tenant_health_days') }}

),

due as (

    select
        *,
        sla_state in ('late', 'silent') as is_missed,
        row_number() over (partition by tenant_key order by utc_day desc) as days_back
    from health_days
    where sla_state <> 'pending'

),

counted as (

    select
        tenant_key,
        sum(case when is_missed and days_back <= {{ objective_days }} then 1 else 0 end) as days_spent,
        max(case when sla_state <> 'quiet' then utc_day end) as last_due_day,
        max(case when is_missed then utc_day end) as last_missed_day
    from due
    group by tenant_key

),

allowed as (

    select
        tenants.tenant_key,
        cast({{ objective_days * (100 - objective_percent) // 100 }} as bigint) as days_allowed,
        cast(coalesce(counted.days_spent, 0) as bigint) as days_spent,
        case when counted.last_missed_day = counted.last_due_day then counted.last_missed_day end as missed_day
    from tenants
    left join counted on tenants.tenant_key = counted.tenant_key

)

select
    *,
    days_allowed - days_spent as days_left
from allowed
