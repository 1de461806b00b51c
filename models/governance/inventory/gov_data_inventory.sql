with listed as (

    select * from {{ ref('int_known_fields') }}

),

decisions as (

    select * from {{ ref('int_field_decisions') }}

),

days_of_class as (

    select * from {{ source('control', 'class_retention') }}
    where tenant_id = '*'

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
