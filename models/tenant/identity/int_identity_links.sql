{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_event_changes',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.user_key = affected.unit_key '
            'and kept.linked_on = cast(affected.first_at as date)',
        'affected_from': ['linked_on', 'cast(first_at as date)'],
    },
) }}

with affected as (

    select * from {{ ref('int_event_changes') }}

),

events as (

    select * from {{ ref('int_events') }}
    {%- if is_incremental() %}
    where occurred_at >= (select cast(cast(min(first_at) as date) as timestamp) from affected)
    {%- endif %}

),

linking as (

    select
        tenant_key,
        user_key,
        anonymous_key,
        occurred_at,
        cast(occurred_at as date) as linked_on
    from events
    where user_key is not null and anonymous_key is not null

),

in_reach as (

    {{ of_affected('linking') }}

),

links as (

    select
        tenant_key,
        user_key,
        anonymous_key,
        linked_on,
        min(occurred_at) as first_at
    from in_reach
    group by tenant_key, user_key, anonymous_key, linked_on

)

select * from links
