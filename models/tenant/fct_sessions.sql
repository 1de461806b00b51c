{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_sessions',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.unit_key = affected.unit_key '
            'and kept.started_at between affected.range_start and affected.range_end',
    },
) }}

with events as (

    select * from {{ ref('fct_events') }}

),

affected as (

    select * from {{ ref('int_affected_sessions') }}

),

to_cut as (

    select events.*
    from events
    {%- if is_incremental() %}
    inner join affected
        on events.tenant_key = affected.tenant_key
        and events.unit_key = affected.unit_key
        and events.occurred_at between affected.range_start and affected.range_end
    {%- endif %}

),

-- a session ends where the gap is strictly longer than the tenant's timeout; midnight means nothing
marked as (

    select
        *,
        coalesce(
            {{ starts_session('occurred_at', 'event_key', 'session_timeout_seconds', 'tenant_key, unit_key') }},
            true
        ) as is_start
    from to_cut

),

numbered as (

    select
        *,
        sum(case when is_start then 1 else 0 end) over (
            partition by tenant_key, unit_key
            order by occurred_at, event_key
            rows between unbounded preceding and current row
        ) as session_number
    from marked

),

sessions as (

    select
        tenant_key,
        unit_key,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        min(activity_date) as session_date,
        count(*) as events,
        {{ integer_division(microseconds_between('min(occurred_at)', 'max(occurred_at)'), 1000) }} as duration_ms
    from numbered
    group by tenant_key, unit_key, session_number

)

select * from sessions
