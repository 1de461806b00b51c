with events as (

    select * from {{ ref('fct_events') }}

),

ranges as (

    select * from {{ ref('int_affected_sessions') }}

),

-- every session that was or will be cut anew starts on the day of one of these events
touched as (

    select distinct
        events.tenant_key,
        events.activity_date
    from events
    inner join ranges
        on events.tenant_key = ranges.tenant_key
        and events.unit_key = ranges.unit_key
        and events.occurred_at between ranges.range_start and ranges.range_end

)

select * from touched
