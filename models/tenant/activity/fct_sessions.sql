{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_sessions',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.person_key = affected.person_key '
            'and kept.started_at between affected.range_start and affected.range_end',
        'affected_from': ['started_at', 'range_start'],
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
        and events.person_key = affected.person_key
        and events.occurred_at between affected.range_start and affected.range_end
    where events.occurred_at >= (select min(affected.range_start) from affected)
    {%- endif %}

),

with_gap as (

    select
        *,
        {{ microseconds_since_last('occurred_at', 'event_key', 'tenant_key, person_key') }} as gap_us,
        row_number() over (partition by tenant_key, person_key order by occurred_at, event_key) as event_number
    from to_cut

),

-- a session ends where the gap is strictly longer than the tenant's timeout; midnight means nothing
marked as (

    select
        *,
        gap_us is null or gap_us > session_timeout_seconds * 1000000 as is_start
    from with_gap

),

numbered as (

    select
        *,
        sum(case when is_start then 1 else 0 end) over (
            partition by tenant_key, person_key
            order by event_number
            rows between unbounded preceding and current row
        ) as session_number
    from marked

),

-- of a pause within a session, the first five minutes are engagement
sessions as (

    select
        tenant_key,
        person_key,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        max(case when is_start then activity_date end) as session_date,
        count(*) as events,
        {{ integer_division(microseconds_between('min(occurred_at)', 'max(occurred_at)'), 1000) }} as duration_ms,
        {{ integer_division('coalesce(sum(case when not is_start then least(gap_us, 300000000) end), 0)', 1000) }} as engaged_ms,
        {{ first_by('url_path', 'event_number') }} as entry_path,
        {{ last_by('url_path', 'event_number') }} as exit_path,
        coalesce(max(case when is_start then referrer_channel end), 'direct') as source,
        {{ first_by('platform', 'event_number') }} as platform,
        {{ microseconds_between('min(occurred_at)', 'max(occurred_at)') }} > 86400000000 as is_runaway
    from numbered
    group by tenant_key, person_key, session_number

)

select
    tenant_key,
    person_key,
    started_at,
    ended_at,
    session_date,
    cast(events as bigint) as events,
    cast(duration_ms as bigint) as duration_ms,
    cast(engaged_ms as bigint) as engaged_ms,
    entry_path,
    exit_path,
    source,
    platform,
    is_runaway
from sessions
