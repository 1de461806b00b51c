{%- set is_same -%}
    kept.tenant_id = affected.tenant_id
    and kept.source_format = affected.source_format
    and kept.event_name is not distinct from affected.event_name
    and kept.property is not distinct from affected.property
    and kept.json_type is not distinct from affected.json_type
{%- endset -%}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={'affected_by': 'gov_landed_properties', 'affected_when': is_same},
) }}

with affected as (

    select * from {{ ref('gov_landed_properties') }}

),

kept as (

    {%- if is_incremental() %}
    select * from {{ this }}
    {%- else %}
    select * from affected
    where false
    {%- endif %}

),

-- of instants that the rows bring along, so neither order nor number of the batches matters
merged as (

    select
        affected.tenant_id,
        affected.source_format,
        affected.event_name,
        affected.property,
        affected.json_type,
        least(affected.first_seen_at, kept.first_seen_at) as first_seen_at,
        greatest(affected.last_seen_at, kept.last_seen_at) as last_seen_at
    from affected
    left join kept on {{ is_same }}

)

select * from merged
