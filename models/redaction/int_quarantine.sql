-- depends_on: {{ ref('int_batch_rows') }}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'removed_by': 'int_batch_rows',
        'removed_when': 'kept.landing_file = removed.landing_file and kept.landing_row = removed.landing_row',
    },
) }}

with landed as (

    select * from {{ ref('int_events_landed') }}

),

queued as (

    select * from {{ source('landing', 'landing_work') }}

),

refused as (

    select
        landed.landing_file,
        landed.landing_row,
        landed.source_format,
        landed.reason,
        {{ unless_forgotten('landed.tenant_id') }} as tenant_id,
        {{ unless_forgotten('landed.occurred_at') }} as occurred_at,
        {{ unless_forgotten('landed.received_at') }} as received_at,
        {{ unless_forgotten('queued.line') }} as payload
    from landed
    inner join queued
        on landed.landing_file = queued.landing_file
        and landed.landing_row = queued.landing_row
    where landed.reason is not null

)

select * from refused
