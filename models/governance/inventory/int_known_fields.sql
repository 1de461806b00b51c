{{ config(materialized='ephemeral') }}

with read_fields as (

    select * from {{ source('control', 'field_map') }}

),

seen as (

    select * from {{ ref('gov_fields') }}

),

decisions as (

    select * from {{ ref('int_field_decisions') }}

),

properties_seen as (

    select
        source_format,
        property,
        cast(min(first_seen_at) as date) as first_seen_on,
        cast(max(last_seen_at) as date) as last_seen_on
    from {{ ref('gov_properties') }}
    where property <> '*'
    group by source_format, property

),

-- how a format calls its properties; `$` where all of the line is taken for them
property_prefixes as (

    select
        source_format,
        min(case when raw_field = '$' then '' else raw_field || '.' end) as path_prefix,
        coalesce(max(case when raw_field = '$' then true end), false) as is_whole_line
    from read_fields
    where contract_field = 'properties'
    group by source_format

),

taken as (

    select
        read_fields.source_format,
        read_fields.raw_field,
        read_fields.contract_field,
        seen.first_seen_on,
        seen.last_seen_on
    from read_fields
    left join seen on read_fields.source_format = seen.source_format and read_fields.raw_field = seen.raw_field

),

-- what lies in the properties: those that the policy decides about, and those that were seen
single_properties as (

    select
        prefixes.source_format,
        prefixes.path_prefix || coalesce(properties_seen.property, substr(decisions.field, 12)) as raw_field,
        'properties.' || coalesce(properties_seen.property, substr(decisions.field, 12)) as contract_field,
        properties_seen.first_seen_on,
        properties_seen.last_seen_on
    from (
        select * from decisions
        where field like 'properties.%'
    ) as decisions
    full outer join properties_seen
        on decisions.source_format = properties_seen.source_format
        and decisions.field = 'properties.' || properties_seen.property
    inner join property_prefixes as prefixes
        on coalesce(decisions.source_format, properties_seen.source_format) = prefixes.source_format

),

known as (

    select * from taken
    union all
    -- in the row of an atomic event the fields that are read are properties too; they are listed above
    select * from single_properties
    where not exists (
        select 1 from read_fields
        where
            read_fields.source_format = single_properties.source_format
            and read_fields.raw_field = single_properties.raw_field
    )

),

-- an object that holds what is read or listed is no field of its own
never_read as (

    select
        seen.source_format,
        seen.raw_field,
        cast(null as varchar) as contract_field,
        seen.first_seen_on,
        seen.last_seen_on
    from seen
    where
        not exists (
            select 1 from known
            where
                known.source_format = seen.source_format
                and (
                    known.raw_field = seen.raw_field
                    or left(known.raw_field, length(seen.raw_field) + 1) in (seen.raw_field || '.', seen.raw_field || '[')
                )
        )

),

listed as (

    select * from known
    union all
    select * from never_read

)

select * from listed
