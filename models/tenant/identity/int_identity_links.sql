{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_event_changes',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.user_key = affected.unit_key '
            'and kept.linked_on = cast(affected.first_at as date)',
    },
) }}

with events as (

    select * from {{ ref('int_events') }}

),

changes as (

    select * from {{ ref('int_event_changes') }}

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

links as (

    select
        tenant_key,
        user_key,
        anonymous_key,
        linked_on,
        min(occurred_at) as first_at
    from linking
    {%- if is_incremental() %}
    where exists (
        select 1 from changes
        where changes.tenant_key = linking.tenant_key
            and changes.unit_key = linking.user_key
            and cast(changes.first_at as date) = linking.linked_on
    )
    {%- endif %}
    group by tenant_key, user_key, anonymous_key, linked_on

)

select * from links
