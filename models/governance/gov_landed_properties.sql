{#- An object with more text or keys than this is data and no description of it. -#}
{%- set most_characters = 65536 -%}
{%- set most_keys = 500 -%}

with landed as (

    select * from {{ ref('int_events_landed') }}
    -- what a plan refused is what an operator wants to see here; other refused rows have no owner or no time
    where reason is null or reason in ('unplanned_event', 'type_mismatch')

),

shaped as (

    select
        tenant_id,
        source_format,
        event_name,
        occurred_at,
        length(properties) > {{ most_characters }} as is_too_long,
        case when length(properties) <= {{ most_characters }} then {{ json_shape('properties') }} end as shape
    from landed

),

-- rows of one event mostly look alike: it is the few shapes that are taken apart
shapes as (

    select
        tenant_id,
        source_format,
        event_name,
        is_too_long,
        shape,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at
    from shaped
    group by tenant_id, source_format, event_name, is_too_long, shape

),

described as (

    select
        tenant_id,
        source_format,
        event_name,
        coalesce(is_too_long or {{ list_length('shape') }} > {{ most_keys }}, false) as is_too_many,
        {{ json_members('shape') }} as members,
        first_seen_at,
        last_seen_at
    from shapes

),

unnested as (

    select
        tenant_id,
        source_format,
        event_name,
        {{ unnested('members') }} as member,
        first_seen_at,
        last_seen_at
    from described
    where not is_too_many

),

seen as (

    select
        unnested.tenant_id,
        unnested.source_format,
        unnested.event_name,
        unnested.member.property,
        unnested.member.json_type,
        unnested.first_seen_at,
        unnested.last_seen_at
    from unnested
    union all
    select
        tenant_id,
        source_format,
        event_name,
        case when is_too_many then '*' end as property,
        case when is_too_many then 'too_many' end as json_type,
        first_seen_at,
        last_seen_at
    from described

),

merged as (

    select
        tenant_id,
        source_format,
        event_name,
        property,
        json_type,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from seen
    group by tenant_id, source_format, event_name, property, json_type

)

select * from merged
