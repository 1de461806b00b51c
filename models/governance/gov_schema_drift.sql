with seen as (

    select * from {{ ref('gov_properties') }}
    where json_type is distinct from 'too_many'

),

-- a row without a property is the event itself; null is a value of any type, so it comes last
compared as (

    select
        *,
        min(case when property is null then first_seen_at end) over of_event as event_first_seen_at,
        max(case when property is null then last_seen_at end) over of_event as event_last_seen_at,
        min(first_seen_at) over of_property as property_first_seen_at,
        max(last_seen_at) over of_property as property_last_seen_at,
        row_number() over (
            partition by tenant_id, source_format, event_name, property
            order by case when json_type = 'null' then 1 else 0 end, first_seen_at, json_type
        ) as type_number
    from seen
    window
        of_event as (partition by tenant_id, source_format, event_name),
        of_property as (partition by tenant_id, source_format, event_name, property)

),

properties as (

    select * from compared
    where property is not null

),

drift as (

    select
        tenant_id,
        source_format,
        event_name,
        property,
        'new' as kind,
        json_type,
        property_first_seen_at as since
    from properties
    where type_number = 1 and cast(property_first_seen_at as date) > cast(event_first_seen_at as date)
    union all
    select
        tenant_id,
        source_format,
        event_name,
        property,
        'missing' as kind,
        json_type,
        property_last_seen_at as since
    from properties
    where type_number = 1 and cast(property_last_seen_at as date) < cast(event_last_seen_at as date)
    union all
    select
        tenant_id,
        source_format,
        event_name,
        property,
        'retyped' as kind,
        json_type,
        first_seen_at as since
    from properties
    where type_number > 1 and json_type <> 'null'

)

select * from drift
