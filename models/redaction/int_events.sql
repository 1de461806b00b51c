{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'affected_by': 'int_batch_files',
        'affected_when': 'kept.landing_file = affected.landing_file',
    },
) }}

with batch_files as (

    select * from {{ ref('int_batch_files') }}

),

candidates as (

    select * from {{ ref('int_events_redacted') }}

),

-- one user's rows never decide about another's, so a duplicate is one within its unit
ranked as (

    select
        *,
        row_number() over (
            partition by tenant_key, unit_key, event_key
            order by
                received_at nulls last, occurred_at, feature nulls last, event_name, value_minor, duration_ms, properties,
                url_path, referrer_channel, platform, country, landing_file, landing_row
        ) as repetition
    from candidates

),

first_of_batch as (

    select * from ranked
    where repetition = 1

),

new_events as (

    select *
    from first_of_batch
    {%- if is_incremental() %}
    where not exists (
        select 1 from {{ this }} as accepted
        where accepted.tenant_key = first_of_batch.tenant_key
            and accepted.unit_key = first_of_batch.unit_key
            and accepted.event_key = first_of_batch.event_key
            -- a batch that is run again replaces its own rows
            and accepted.landing_file not in (select landing_file from batch_files)
    )
    {%- endif %}

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
