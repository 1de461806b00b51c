{{ config(materialized='view') }}

with used as (

    select * from {{ ref('int_account_use') }}

),

weights as (

    select * from {{ ref('account_health_weights') }}

),

-- all in whole numbers, so that a score is the same on every machine
components as (

    select
        tenant_key,
        account_key,
        'days_since_active' as component,
        days_since_active as measured
    from used
    union all
    select
        tenant_key,
        account_key,
        'seats_used' as component,
        seats_used as measured
    from used
    union all
    select
        tenant_key,
        account_key,
        'features_used' as component,
        features_used as measured
    from used
    union all
    -- from nothing to something is growth
    select
        tenant_key,
        account_key,
        'trend_percent' as component,
        case
            when events_before > 0 then {{ integer_division('events * 100', 'events_before') }}
            when events > 0 then 100
            else 0
        end as measured
    from used
    union all
    select
        tenant_key,
        account_key,
        'top_user_percent' as component,
        case when events > 0 then {{ integer_division('top_user_events * 100', 'events') }} else 100 end as measured
    from used

),

-- from no points to all of them on a straight line, whichever end is the lower
placed as (

    select
        components.tenant_key,
        components.account_key,
        weights.weight,
        abs(weights.full_score_at - weights.no_score_at) as reach,
        (components.measured - weights.no_score_at)
        * case when weights.full_score_at > weights.no_score_at then 1 else -1 end as progress
    from components
    inner join weights on components.component = weights.component

),

scored as (

    select
        tenant_key,
        account_key,
        sum({{ integer_division('weight * 100 * greatest(0, least(progress, reach))', 'reach') }}) as hundredths
    from placed
    group by tenant_key, account_key

)

select * from scored
