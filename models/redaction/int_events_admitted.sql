{{ config(materialized='view') }}

with redacted as (

    select * from {{ ref('int_events_redacted') }}

),

deferred as (

    select * from {{ ref('int_deferred') }}

),

admitted as (

    select redacted.*
    from redacted
    where not exists (
        select 1 from deferred
        where deferred.landing_file = redacted.landing_file and deferred.landing_row = redacted.landing_row
    )

)

select * from admitted
