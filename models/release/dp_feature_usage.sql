with due as (

    select
        period_start,
        period_end
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'feature_usage'

),

events as (

    select * from {{ ref('int_events') }}

),

-- each event speaks for its own unit alone: nothing here looks at another row
contributions as (

    select distinct
        due.period_start,
        events.tenant_key,
        events.unit_key,
        cast(null as varchar) as segment,
        'adoption' as metric,
        events.feature as key,
        cast(null as bigint) as value
    from events
    inner join due
        on events.occurred_at >= due.period_start
        and events.occurred_at < due.period_end

)

{{ bounded_cells('feature_usage', 'contributions') }}
