-- depends_on: {{ ref('int_batch_rows') }}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'affected_by': 'int_batch_rows',
        'affected_when': 'kept.landing_file = affected.landing_file and kept.landing_row = affected.landing_row',
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
        -- of what is forgotten nothing stays but that there was a row
        {%- for column, value in {
            'tenant_id': 'landed.tenant_id',
            'occurred_at': 'landed.occurred_at',
            'received_at': 'landed.received_at',
            'payload': 'queued.line',
        }.items() %}
        case when landed.reason not in ('erased', 'expired') then {{ value }} end as {{ column }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from landed
    inner join queued
        on landed.landing_file = queued.landing_file
        and landed.landing_row = queued.landing_row
    where landed.reason is not null

)

select * from refused
