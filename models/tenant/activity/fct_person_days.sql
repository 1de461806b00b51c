{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_person_days',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.person_key = affected.person_key '
            'and kept.activity_date = affected.activity_date',
        'affected_from': ['activity_date', 'activity_date'],
    },
) }}

with affected as (

    select * from {{ ref('int_affected_person_days') }}

),

events as (

    {{ of_affected(ref('fct_events')) }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

days as (

    select
        events.tenant_key,
        events.person_key,
        events.activity_date,
        min(events.week_start) as week_start,
        min(events.occurred_at) as first_at,
        count(*) as events,
        sum(case when events.is_activity then 1 else 0 end) as activity_events,
        count(distinct {{ truncated_instant('events.occurred_at', 'hour') }}) as active_hours,
        max(case when events.listed_as = 'internal' then 1 else 0 end) as is_internal,
        max(case when events.listed_as = 'test' then 1 else 0 end) as is_test,
        max(case when events.listed_as = 'bot' then 1 else 0 end) as is_bot
    from events
    group by events.tenant_key, events.person_key, events.activity_date

),

-- whoever is on no list and is busy as no human is, on the days on which it is
judged as (

    select
        days.*,
        case
            when days.is_internal = 1 then 'internal'
            when days.is_test = 1 then 'test'
            when days.is_bot = 1 then 'bot'
            when days.events > tenants.bot_daily_events or days.active_hours > tenants.bot_daily_hours then 'behaves_like_bot'
        end as excluded_as
    from days
    inner join tenants
        on days.tenant_key = tenants.tenant_key
        and days.first_at >= tenants.valid_from_at
        and days.first_at < tenants.valid_to_at

),

with_activity as (

    select
        tenant_key,
        person_key,
        activity_date,
        week_start,
        cast(events as bigint) as events,
        cast(activity_events as bigint) as activity_events,
        cast(active_hours as bigint) as active_hours,
        excluded_as,
        activity_events > 0 and excluded_as is null as is_active
    from judged

),

{% if is_incremental() -%}
-- the days on which these persons were active, whether they are built anew or stay
active_days as (

    select
        tenant_key,
        person_key,
        activity_date
    from with_activity
    where is_active
    union all
    select
        kept.tenant_key,
        kept.person_key,
        kept.activity_date
    from {{ this }} as kept
    where kept.is_active
        and exists (
            select 1 from affected
            where affected.tenant_key = kept.tenant_key and affected.person_key = kept.person_key
        )
        and not exists (
            select 1 from affected
            where affected.tenant_key = kept.tenant_key and affected.person_key = kept.person_key
                and affected.activity_date = kept.activity_date
        )

),
{%- else -%}
active_days as (

    select
        tenant_key,
        person_key,
        activity_date
    from with_activity
    where is_active

),
{%- endif %}

looking_back as (

    select
        *,
        lag(activity_date) over (partition by tenant_key, person_key order by activity_date) as previous_active_date
    from active_days

),

final as (

    select
        with_activity.*,
        looking_back.previous_active_date
    from with_activity
    left join looking_back
        on with_activity.tenant_key = looking_back.tenant_key
        and with_activity.person_key = looking_back.person_key
        and with_activity.activity_date = looking_back.activity_date

)

select * from final
