with run as (

    select
        as_of,
        cast(as_of + 1 as timestamp) as closed_at
    from {{ source('control', 'run_control') }}

),

tenant_days as (

    select * from {{ ref('gov_tenant_days') }}

),

volume as (

    select * from {{ ref('gov_tenant_volume') }}

),

looking_back as (

    select
        *,
        max(case when accepted_events > 0 then utc_day end) over so_far as last_day_with_events,
        min(utc_day) over so_far as first_day
    from tenant_days
    window so_far as (
        partition by tenant_key
        order by utc_day
        rows between unbounded preceding and current row
    )

),

-- no season is longer than a week: who has sent nothing for one and the time agreed is expected to, whatever was usual before
expected as (

    select
        looking_back.*,
        volume.weeks,
        volume.usual_events,
        volume.median_deviation,
        volume.volume_score,
        volume.volume_state,
        volume.is_usual_day
        or (looking_back.utc_day - coalesce(looking_back.last_day_with_events, looking_back.first_day)) * 24
        >= 7 * 24 + looking_back.freshness_sla_hours as is_expected
    from looking_back
    inner join volume
        on looking_back.tenant_key = volume.tenant_key
        and looking_back.utc_day = volume.utc_day

),

judged as (

    select
        expected.tenant_key,
        expected.utc_day,
        expected.freshness_sla_hours,
        expected.accepted_events + expected.quarantined_rows as rows_judged,
        expected.accepted_events,
        expected.quarantined_rows,
        expected.late_events,
        expected.p95_lateness_minutes,
        case
            when expected.due_at > run.closed_at then 'pending'
            when expected.accepted_events = 0 and not coalesce(expected.is_expected, false) then 'quiet'
            when expected.accepted_events = 0 then 'silent'
            when expected.late_events = expected.accepted_events then 'late'
            when expected.late_events > 1 and expected.late_events * 20 > expected.accepted_events then 'late'
            else 'met'
        end as sla_state,
        expected.weeks,
        expected.usual_events,
        expected.median_deviation,
        expected.volume_score,
        expected.volume_state
    from expected
    cross join run

)

select * from judged
