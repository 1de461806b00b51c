-- depends_on: {{ ref('int_event_changes') }}, {{ ref('int_events_displaced') }}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'removed_by': 'int_events_displaced',
        'removed_when': 'kept.landing_file = removed.landing_file and kept.landing_row = removed.landing_row',
        'affected_by': 'int_event_changes',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.unit_key = affected.unit_key '
            'and kept.occurred_at between affected.first_at and affected.last_at',
        'affected_from': ['occurred_at', 'first_at'],
    },
) }}

with admitted as (

    select * from {{ ref('int_events_admitted') }}

),

won as (

    select * from {{ ref('int_events_won') }}

),

new_events as (

    select admitted.*
    from admitted
    inner join won
        on admitted.landing_file = won.landing_file
        and admitted.landing_row = won.landing_row

)

select
    tenant_key,
    event_key,
    unit_key,
    user_key,
    anonymous_key,
    account_key,
    client_session_key,
    event_name,
    feature,
    occurred_at,
    occurred_at_rule,
    received_at,
    url_path,
    referrer_channel,
    ip_network,
    user_agent_family,
    country,
    platform,
    duration_ms,
    value_minor,
    properties,
    source_format,
    landing_file,
    landing_row
from new_events
