with clocked as (

    select * from {{ ref('int_events_clocked') }}

),

run as (

    -- midnight that ends the as-of day, the one clock of a run
    select cast(as_of as timestamp) + interval 1 day as closed_at
    from {{ source('control', 'run_control') }}

),

registered as (

    select distinct tenant_id
    from {{ source('control', 'registry_tenants') }}

),

plans as (

    select
        tenant_id,
        event_name,
        {{ list_of_structs(
            {'property': 'property', 'json_type': 'type', 'required': 'required'}, 'property is not null'
        ) }} as rules
    from {{ source('control', 'tracking_plan') }}
    group by tenant_id, event_name

),

with_plan as (

    select distinct tenant_id
    from plans

),

planned as (

    select
        clocked.*,
        coalesce(own.tenant_id, fallback.tenant_id) is not null as has_plan,
        plans.rules,
        case when plans.rules is not null then {{ json_members(json_shape('clocked.properties')) }} end as members
    from clocked
    left join with_plan as own on clocked.tenant_id = own.tenant_id
    left join with_plan as fallback on fallback.tenant_id = '*'
    left join plans
        on coalesce(own.tenant_id, fallback.tenant_id) = plans.tenant_id
        and clocked.event_name = plans.event_name

),

judged as (

    select
        {%- for column in clocked_columns() %}
        planned.{{ column }},
        {%- endfor %}
        case
            when planned.defect is not null then planned.defect
            when not planned.is_object then 'unparsable'
            when planned.is_mismatch then 'tenant_mismatch'
            when planned.tenant_id is null then 'missing_tenant'
            when listed.tenant_id is null and fallback.tenant_id is null then 'unknown_tenant'
            when planned.user_id is null and planned.anonymous_id is null then 'missing_identity'
            when planned.occurred_at is null or planned.occurred_at < timestamp '1990-01-01' then 'bad_timestamp'
            when planned.occurred_at > run.closed_at + interval 1 day then 'future_timestamp'
            when planned.occurred_at > planned.received_at + interval 1 day then 'future_timestamp'
            when planned.has_plan and planned.rules is null then 'unplanned_event'
            when {{ breaks_rules('planned.members', 'planned.rules') }} then 'type_mismatch'
        end as reason
    from planned
    cross join run
    left join registered as listed on planned.tenant_id = listed.tenant_id and listed.tenant_id <> '*'
    -- the row `*` is a rule and never a tenant
    left join registered as fallback on fallback.tenant_id = '*' and planned.tenant_id <> '*'

)

select * from judged
