{{ config(
    materialized='incremental',
    incremental_strategy='replace_affected',
    on_schema_change='fail',
    meta={
        'affected_by': 'int_affected_tenants',
        'affected_when': 'kept.tenant_key = affected.tenant_key',
    },
) }}

with affected as (

    select * from {{ ref('int_affected_tenants') }}

),

spans as (

    {{ of_affected(ref('int_tenant_spans')) }}

),

person_days as (

    select * from {{ ref('fct_person_days') }}

),

account_days as (

    select * from {{ ref('fct_account_days') }}

),

active_days as (

    select person_days.*
    from person_days
    inner join spans
        on person_days.tenant_key = spans.tenant_key
        and person_days.activity_date > spans.last_day - 28
    where person_days.is_active

),

members as (

    select
        tenant_key,
        'user' as dimension,
        sum(events) as events
    from active_days
    group by tenant_key, person_key
    union all
    select
        tenant_key,
        'day' as dimension,
        sum(events) as events
    from active_days
    group by tenant_key, activity_date
    union all
    select
        account_days.tenant_key,
        'account' as dimension,
        sum(account_days.events) as events
    from account_days
    inner join spans
        on account_days.tenant_key = spans.tenant_key
        and account_days.activity_date > spans.last_day - 28
    group by account_days.tenant_key, account_days.account_key

),

summed as (

    select
        tenant_key,
        dimension,
        sum(events) as events,
        count(*) as members,
        max(events) as top_events,
        sum(events * events) as squares
    from members
    group by tenant_key, dimension

),

dimensions as (

    select 'user' as dimension
    union all
    select 'day' as dimension
    union all
    select 'account' as dimension

),

final as (

    select
        spans.tenant_key,
        dimensions.dimension,
        spans.last_day as as_of_date,
        cast(coalesce(summed.events, 0) as bigint) as events,
        cast(coalesce(summed.members, 0) as bigint) as members,
        {{ rate('summed.top_events', 'summed.events') }} as top_share,
        {{ exact_ratio('summed.events * summed.events', 'summed.squares') }} as effective_members,
        coalesce(summed.top_events * 2 > summed.events, false) as leans_on_one,
        {{ sample_state('coalesce(summed.events, 0)') }} as sample_state
    from spans
    cross join dimensions
    left join summed
        on spans.tenant_key = summed.tenant_key
        and dimensions.dimension = summed.dimension

)

select * from final
