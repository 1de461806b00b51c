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

refused as (

    select
        landed.landing_file,
        landed.landing_row,
        landed.source_format,
        landed.reason,
        landed.tenant_id,
        landed.line as payload
    from landed
    inner join batch_files on landed.landing_file = batch_files.landing_file
    where landed.reason is not null

)

select * from refused
