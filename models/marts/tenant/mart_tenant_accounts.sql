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

used as (

    {{ of_affected(ref('int_account_use')) }}

),

scores as (

    select * from {{ ref('int_account_scores') }}

),

judged as (

    select
        used.*,
        scores.hundredths,
        {{ sample_state('case when used.is_history_long_enough then used.events_before end') }} as trend_state,
        {{ sample_state('case when used.is_history_long_enough then used.events_ever end') }} as health_state
    from used
    inner join scores
        on used.tenant_key = scores.tenant_key
        and used.account_key = scores.account_key

),

final as (

    select
        tenant_key,
        account_key,
        as_of_date,
        cast(days_since_active as bigint) as days_since_active,
        seats_used,
        cast(features_used as bigint) as features_used,
        events,
        events_before,
        {{ exact_ratio('events', 'events_before') }} as trend,
        trend_state,
        {{ rate('top_user_events', 'events') }} as top_user_share,
        {{ sample_state('events') }} as top_user_state,
        case
            when health_state = 'ok'
                then cast(cast(hundredths as decimal(7, 0)) * cast(0.01 as decimal(2, 2)) as decimal(5, 2))
        end as health_score,
        health_state
    from judged

)

select * from final
