with due as (

    select
        period_start,
        period_end
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'page_keys'

),

events as (

    select * from {{ ref('int_events') }}

),

-- which pages there are is what users make of the words that the vocabulary lists: no list could hold all of them
contributions as (

    select distinct
        due.period_start,
        events.tenant_key,
        events.unit_key,
        events.url_path as key
    from events
    inner join due
        on events.occurred_at >= due.period_start
        and events.occurred_at < due.period_end

)

{{ key_counts('page_keys', 'contributions') }}
