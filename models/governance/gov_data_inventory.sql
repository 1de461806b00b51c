with read_fields as (

    select * from {{ source('control', 'field_map') }}

),

seen as (

    select * from {{ ref('gov_fields') }}

),

decisions as (

    select * from {{ ref('int_field_decisions') }}

),

days_of_class as (

    select * from {{ source('control', 'class_retention') }}
    where tenant_id = '*'

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

),

-- of a property that nobody decided about, what holds for properties holds
ruled as (

    select
        listed.*,
        coalesce(
            exact.field, case when listed.contract_field like 'properties.%' then 'properties' end
        ) as policy_field
    from listed
    left join decisions as exact
        on listed.source_format = exact.source_format
        and listed.contract_field = exact.field

),

decided as (

    select
        ruled.source_format,
        ruled.raw_field,
        ruled.contract_field,
        case
            when ruled.contract_field like 'properties.%' then 'properties'
            when ruled.contract_field = 'tenant_id' then 'tenant_key'
            {%- for column, field in (redacted_columns() if execute else {}).items() %}
            when ruled.contract_field = '{{ field }}' then '{{ column }}'
            {%- endfor %}
        end as event_column,
        decisions.class,
        decisions.action,
        coalesce(decisions.audience, 'restricted') as audience,
        ruled.first_seen_on,
        ruled.last_seen_on
    from ruled
    left join decisions
        on ruled.source_format = decisions.source_format
        and ruled.policy_field = decisions.field

),

inventory as (

    select
        decided.source_format,
        decided.raw_field,
        decided.contract_field,
        case
            when decided.contract_field is null then 'never read'
            when decided.action = 'drop' then 'dropped'
            else 'taken'
        end as fate,
        decided.class,
        decided.action,
        case when decided.action <> 'drop' then decided.event_column end as event_column,
        decided.audience,
        days_of_class.days as retention_days,
        decided.first_seen_on,
        decided.last_seen_on
    from decided
    left join days_of_class on decided.class = days_of_class.class

)

select * from inventory
