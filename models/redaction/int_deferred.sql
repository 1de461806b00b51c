-- depends_on: {{ ref('int_batch_rows') }}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'affected_by': 'int_batch_rows',
        'affected_when': 'kept.landing_file = affected.landing_file and kept.landing_row = affected.landing_row',
    },
) }}
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

),

over_quota as (

    select
        landing_file,
        landing_row,
        tenant_key,
        unit_key,
        occurred_at,
        was_ever_in_benchmarks,
        'user' as quota
    from by_user
    where rank_in_unit > daily_user_quota
    union all
    select
        landing_file,
        landing_row,
        tenant_key,
        unit_key,
        occurred_at,
        was_ever_in_benchmarks,
        'tenant' as quota
    from by_tenant
    where rank_in_tenant > daily_event_quota

),

tenants_over_quota as (

    select distinct tenant_key
    from over_quota
    where quota = 'tenant'

),

-- until all that it has is admitted, a unit comes later than by its own rows alone
held_units as (

    {% if is_incremental() -%}
    select distinct
        tenant_key,
        unit_key
    from {{ this }}
    where holds_answers
    {%- else -%}
    select
        tenant_key,
        unit_key
    from over_quota
    where false
    {%- endif %}

),

deferred as (

    select
        over_quota.landing_file,
        over_quota.landing_row,
        over_quota.tenant_key,
        over_quota.unit_key,
        over_quota.occurred_at,
        over_quota.quota,
        -- what a user's quota defers is the same whatever other users sent, so no answer has to wait for it
        over_quota.was_ever_in_benchmarks
        and (tenants_over_quota.tenant_key is not null or held_units.unit_key is not null) as holds_answers
    from over_quota
    left join tenants_over_quota on over_quota.tenant_key = tenants_over_quota.tenant_key
    left join held_units
        on over_quota.tenant_key = held_units.tenant_key
        and over_quota.unit_key = held_units.unit_key

)

select * from deferred
