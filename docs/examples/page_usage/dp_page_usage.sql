with due as (

    select
        period_start,
        period_end
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'page_usage'

),

events as (

    select * from {{ ref('int_events') }}

),

-- a page that was not selected is activity and no more
contributions as (

    select distinct
        due.period_start,
        events.tenant_key,
        events.unit_key,
        cast(null as varchar) as segment,
        'visited' as metric,
        events.url_path as key,
        cast(null as bigint) as value
    from events
    inner join due
        on events.occurred_at >= due.period_start
        and events.occurred_at < due.period_end

)

{{ bounded_cells('page_usage', 'contributions') }}
