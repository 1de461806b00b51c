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

accepted as (

    select * from {{ ref('int_events') }}

),

-- a row counts as a duplicate only where the event that it repeats can be shown
duplicates as (

    select
        candidates.landing_file,
        candidates.landing_row,
        accepted.landing_file as accepted_file,
        accepted.landing_row as accepted_row
    from candidates
    inner join batch_files on candidates.landing_file = batch_files.landing_file
    inner join accepted
        on candidates.tenant_key = accepted.tenant_key
        and candidates.unit_key = accepted.unit_key
        and candidates.event_key = accepted.event_key
    where not (candidates.landing_file = accepted.landing_file and candidates.landing_row = accepted.landing_row)

)

select * from duplicates
