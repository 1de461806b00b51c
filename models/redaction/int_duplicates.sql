-- depends_on: {{ ref('int_batch_rows') }}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'removed_by': 'int_batch_rows',
        'removed_when': 'kept.landing_file = removed.landing_file and kept.landing_row = removed.landing_row',
    },
) }}

with admitted as (

    select * from {{ ref('int_events_admitted') }}

),

won as (

    select * from {{ ref('int_events_won') }}

),

displaced as (

    select * from {{ ref('int_events_displaced') }}
    where not is_read_again

),

accepted as (

    select * from {{ ref('int_events') }}

),

beaten as (

    select
        landing_file,
        landing_row,
        tenant_key,
        unit_key,
        event_key
    from admitted
    where
        not exists (
            select 1 from won
            where won.landing_file = admitted.landing_file and won.landing_row = admitted.landing_row
        )
    union all
    select
        landing_file,
        landing_row,
        tenant_key,
        unit_key,
        event_key
    from displaced
    {%- if is_incremental() %}
    where not exists (
        select 1 from {{ this }} as kept
        where kept.landing_file = displaced.landing_file and kept.landing_row = displaced.landing_row
    )
    {%- endif %}

),

-- a row counts as a duplicate only where the event that it repeats can be shown
duplicates as (

    select beaten.*
    from beaten
    inner join accepted
        on beaten.tenant_key = accepted.tenant_key
        and beaten.unit_key = accepted.unit_key
        and beaten.event_key = accepted.event_key

)

select * from duplicates
