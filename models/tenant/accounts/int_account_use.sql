with account_days as (

    select * from {{ ref('fct_account_days') }}

),

spans as (

    select * from {{ ref('int_tenant_spans') }}

),

aged as (

    select
        account_days.*,
        spans.last_day - account_days.activity_date as days_ago
    from account_days
    inner join spans on account_days.tenant_key = spans.tenant_key

),

by_person as (

    select
        tenant_key,
        account_key,
        person_key,
        min(days_ago) as days_since_active,
        coalesce(sum(case when days_ago < 28 then events end), 0) as events,
        coalesce(sum(case when days_ago between 28 and 55 then events end), 0) as events_before,
        sum(events) as events_ever
    from aged
    group by tenant_key, account_key, person_key

),

by_account as (

    select
        tenant_key,
        account_key,
        min(days_since_active) as days_since_active,
        sum(case when events > 0 then 1 else 0 end) as seats_used,
        sum(events) as events,
        sum(events_before) as events_before,
        sum(events_ever) as events_ever,
        max(events) as top_user_events
    from by_person
    group by tenant_key, account_key

),

breadth as (

    select
        tenant_key,
        account_key,
        count(distinct feature) as features_used
    from aged
    where days_ago < 28
    group by tenant_key, account_key

),

used as (

    select
        by_account.tenant_key,
        by_account.account_key,
        spans.last_day as as_of_date,
        spans.last_day - spans.first_day >= 55 as is_history_long_enough,
        by_account.days_since_active,
        cast(by_account.seats_used as bigint) as seats_used,
        coalesce(breadth.features_used, 0) as features_used,
        cast(by_account.events as bigint) as events,
        cast(by_account.events_before as bigint) as events_before,
        cast(by_account.events_ever as bigint) as events_ever,
        cast(by_account.top_user_events as bigint) as top_user_events
    from by_account
    inner join spans on by_account.tenant_key = spans.tenant_key
    left join breadth
        on by_account.tenant_key = breadth.tenant_key
        and by_account.account_key = breadth.account_key

)

select * from used
