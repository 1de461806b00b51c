{%- set admissions = built('int_admissions') -%}

with candidates as (

    select * from {{ ref('int_events_redacted') }}

),

quotas as (

    select * from {{ ref('int_tenant_quotas') }}

),

in_work as (

    select * from {{ source('landing', 'landing_batch') }}

),

-- what was admitted once and is only read again takes no room
queued as (

    select
        landing_file,
        landing_row,
        position
    from {{ source('landing', 'landing_work') }}
    where not is_again

),

run as (

    select as_of from {{ source('control', 'run_control') }}

),

admitted as (

    {% if admissions -%}
    select
        tenant_key,
        unit_key,
        sum(row_count) as row_count
    from {{ admissions }}
    where as_of in (select as_of from run) and batch_id not in (select batch_id from in_work)
    group by tenant_key, unit_key
    {%- else -%}
    select
        cast(null as varchar) as tenant_key,
        cast(null as varchar) as unit_key,
        cast(null as bigint) as row_count
    where false
    {%- endif %}

),

admitted_of_tenant as (

    select
        tenant_key,
        sum(row_count) as row_count
    from admitted
    group by tenant_key

),

candidates_of_tenant as (

    select
        tenant_key,
        count(*) as row_count
    from candidates
    group by tenant_key

),

-- on most nights nobody comes near a quota, and nothing has to be put in order
busy as (

    select quotas.*
    from quotas
    inner join candidates_of_tenant on quotas.tenant_key = candidates_of_tenant.tenant_key
    left join admitted_of_tenant on quotas.tenant_key = admitted_of_tenant.tenant_key
    where
        candidates_of_tenant.row_count + coalesce(admitted_of_tenant.row_count, 0)
        > least(quotas.daily_event_quota, quotas.daily_user_quota)

),

-- a user's quota looks at that user's rows alone, first come first served: a flood defers itself and nobody else
by_user as (

    select
        candidates.tenant_key,
        candidates.unit_key,
        candidates.landing_file,
        candidates.landing_row,
        candidates.occurred_at,
        queued.position,
        busy.daily_event_quota,
        busy.daily_user_quota,
        busy.was_ever_in_benchmarks,
        coalesce(admitted.row_count, 0) + row_number() over (
            partition by candidates.tenant_key, candidates.unit_key
            order by queued.position
        ) as rank_in_unit
    from candidates
    inner join busy on candidates.tenant_key = busy.tenant_key
    inner join queued
        on candidates.landing_file = queued.landing_file
        and candidates.landing_row = queued.landing_row
    left join admitted
        on candidates.tenant_key = admitted.tenant_key
        and candidates.unit_key = admitted.unit_key

),

-- a tenant's quota goes round its users in turn, so those who sent most wait first
by_tenant as (

    select
        by_user.*,
        coalesce(admitted_of_tenant.row_count, 0) + row_number() over (
            partition by by_user.tenant_key
            order by by_user.rank_in_unit, by_user.position
        ) as rank_in_tenant
    from by_user
    left join admitted_of_tenant on by_user.tenant_key = admitted_of_tenant.tenant_key
    where by_user.rank_in_unit <= by_user.daily_user_quota

)

select
    by_user.tenant_key,
    by_user.unit_key,
    by_user.landing_file,
    by_user.landing_row,
    by_user.occurred_at,
    by_user.was_ever_in_benchmarks,
    case
        when by_user.rank_in_unit > by_user.daily_user_quota then 'user'
        when by_tenant.rank_in_tenant > by_user.daily_event_quota then 'tenant'
    end as quota
from by_user
left join by_tenant
    on by_user.landing_file = by_tenant.landing_file
    and by_user.landing_row = by_tenant.landing_row
