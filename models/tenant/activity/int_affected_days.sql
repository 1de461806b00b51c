with person_days as (

    select * from {{ ref('int_affected_person_days') }}

),

events as (

    select * from {{ ref('fct_events') }}

),

ranges as (

    select * from {{ ref('int_affected_sessions') }}

),

-- every session that was or will be cut anew starts on the day of one of these events, or of one that is no more
of_sessions as (

    select
        events.tenant_key,
        events.activity_date
    from events
    inner join ranges
        on events.tenant_key = ranges.tenant_key
        and events.person_key = ranges.person_key
        and events.occurred_at between ranges.range_start and ranges.range_end
    where events.occurred_at >= (select min(earliest.range_start) from ranges as earliest)

),

touched as (

    select
        tenant_key,
        activity_date
    from of_sessions
    union
    select
        tenant_key,
        activity_date
    from person_days

)

select * from touched
