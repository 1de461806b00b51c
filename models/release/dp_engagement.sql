with due as (

    select
        period_start,
        period_end
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'engagement'

),

events as (

    select * from {{ ref('int_events') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- the unit's own events of the period: no identity graph, and nothing beyond the period's borders
timed as (

    select
        due.period_start,
        events.tenant_key,
        events.unit_key,
        cast(events.occurred_at as date) as active_day,
        cast(tenants.session_timeout_minutes as bigint) * 60000000 as timeout_us,
        {{ microseconds_since_last(
            'events.occurred_at', 'events.event_key', 'due.period_start, events.tenant_key, events.unit_key'
        ) }} as gap_us
    from events
    inner join due
        on events.occurred_at >= due.period_start
        and events.occurred_at < due.period_end
    inner join tenants
        on events.tenant_key = tenants.tenant_key
        and events.occurred_at >= tenants.valid_from_at
        and events.occurred_at < tenants.valid_to_at

),

-- sessions and engagement as fct_sessions has them: of a pause within a session, the first five minutes count
engaged as (

    select
        period_start,
        tenant_key,
        unit_key,
        sum(case when gap_us <= timeout_us then 0 else 1 end) as sessions,
        {{ integer_division(
            'sum(case when gap_us <= timeout_us then least(gap_us, 300000000) else 0 end)', 1000000
        ) }} as engaged_seconds,
        count(distinct active_day) as active_days
    from timed
    group by period_start, tenant_key, unit_key

),

contributions as (

    {%- for metric, column in {
        'sessions_per_user': 'sessions',
        'engaged_minutes_per_user': 'engaged_seconds',
        'stickiness': 'active_days',
    }.items() %}
    select
        period_start,
        tenant_key,
        unit_key,
        cast(null as varchar) as segment,
        '{{ metric }}' as metric,
        cast(null as varchar) as key,
        cast({{ column }} as bigint) as value
    from engaged
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

)

{{ bounded_cells('engagement', 'contributions') }}
