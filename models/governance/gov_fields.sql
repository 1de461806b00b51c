{%- set is_same = 'kept.source_format = affected.source_format and kept.raw_field = affected.raw_field' -%}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={'affected_by': 'gov_landed_fields', 'affected_when': is_same},
) }}

with affected as (

    select * from {{ ref('gov_landed_fields') }}

),

kept as (

    {%- if is_incremental() %}
    select * from {{ this }}
    {%- else %}
    select
        source_format,
        raw_field,
        as_of as first_seen_on,
        as_of as last_seen_on
    from affected
    where false
    {%- endif %}

),

merged as (

    select
        affected.source_format,
        affected.raw_field,
        least(affected.as_of, kept.first_seen_on) as first_seen_on,
        greatest(affected.as_of, kept.last_seen_on) as last_seen_on
    from affected
    left join kept on {{ is_same }}

)

select * from merged
