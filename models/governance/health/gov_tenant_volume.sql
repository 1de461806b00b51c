{#- Fewer weeks, or fewer events, say nothing about what is usual. -#}
{%- set least_weeks = 4 -%}
{%- set least_events = 20 -%}
{#- Beyond this a robust score is an outlier (Iglewicz and Hoaglin 1993). -#}
{%- set outlier = 3.5 -%}

with run as (

    select * from {{ source('control', 'run_control') }}

),

tenant_days as (

    select * from {{ ref('gov_tenant_days') }}

),

-- of a day whose events are due later than in a day from now, most may be still to come
shown as (

    select
        tenant_days.*,
        tenant_days.due_at > cast(run.as_of + 2 as timestamp) as is_pending
    from tenant_days
    inner join run on tenant_days.utc_day > run.as_of - 56

),

-- a day is like the same weekday of the 8 weeks before it, and like no other
compared as (

    select
        shown.tenant_key,
        shown.utc_day,
        earlier.accepted_events
    from shown
    inner join tenant_days as earlier
        on shown.tenant_key = earlier.tenant_key
        and shown.utc_day > earlier.utc_day
        and shown.utc_day <= earlier.utc_day + 56
        and (shown.utc_day - earlier.utc_day) % 7 = 0

),

usual as (

    select
        tenant_key,
        utc_day,
        count(*) as weeks,
        {{ lower_median('accepted_events') }} as usual_events
    from compared
    group by tenant_key, utc_day

),

spread as (

    select
        compared.tenant_key,
        compared.utc_day,
        {{ lower_median('abs(compared.accepted_events - usual.usual_events)') }} as median_deviation
    from compared
    inner join usual
        on compared.tenant_key = usual.tenant_key
        and compared.utc_day = usual.utc_day
    group by compared.tenant_key, compared.utc_day

),

-- counts that never vary would make an outlier of any change: a tenth of the usual is the least that they are taken to vary by
scored as (

    select
        shown.tenant_key,
        shown.utc_day,
        shown.accepted_events,
        shown.is_pending,
        cast(coalesce(usual.weeks, 0) as bigint) as weeks,
        cast(usual.usual_events as bigint) as usual_events,
        cast(spread.median_deviation as bigint) as median_deviation,
        cast(
            0.6745 * cast(shown.accepted_events - usual.usual_events as double)
            / greatest(spread.median_deviation, {{ integer_division('usual.usual_events', 10) }}, 1)
            as decimal(18, 2)
        ) as volume_score
    from shown
    left join usual
        on shown.tenant_key = usual.tenant_key
        and shown.utc_day = usual.utc_day
    left join spread
        on shown.tenant_key = spread.tenant_key
        and shown.utc_day = spread.utc_day

),

judged as (

    select
        tenant_key,
        utc_day,
        weeks,
        usual_events,
        median_deviation,
        volume_score,
        weeks >= {{ least_weeks }} and usual_events >= {{ least_events }} as is_usual_day,
        case
            when is_pending then 'pending'
            when weeks < {{ least_weeks }} or greatest(accepted_events, usual_events) < {{ least_events }} then 'not_enough_data'
            when volume_score < -{{ outlier }} then 'low'
            when volume_score > {{ outlier }} then 'high'
            else 'usual'
        end as volume_state
    from scored

)

select * from judged
