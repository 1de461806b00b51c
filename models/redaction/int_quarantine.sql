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

landed as (

    select * from {{ ref('int_events_landed') }}

),

lines as (

    select * from {{ source('landing', 'landing_rows') }}

),

refused as (

    select
        landed.landing_file,
        landed.landing_row,
        landed.source_format,
        landed.reason,
        landed.tenant_id,
        lines.line as payload
    from landed
    inner join batch_files on landed.landing_file = batch_files.landing_file
    inner join lines on landed.landing_file = lines.landing_file and landed.landing_row = lines.landing_row
    where landed.reason is not null

)

select * from refused
