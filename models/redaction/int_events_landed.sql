with clocked as (

    select * from {{ ref('int_events_clocked') }}

),

run as (

    -- midnight that ends the as-of day, the one clock of a run
    select cast(as_of as timestamp) + interval 1 day as closed_at
    from {{ source('control', 'run_control') }}

),

registered as (

    select
        registry.tenant_id,
        run.closed_at - registry.retention_days * interval 1 day as expired_at
    from {{ source('control', 'registry_today') }} as registry
    cross join run

),

erased as (

    select * from {{ source('landing', 'erased_subjects') }}

),

-- once there is whom to know
erasure_key as (

    select * from {{ source('keyring', 'erasure_key') }}
    where exists (select 1 from erased)

),

tenants_with_erased as (

    select distinct tenant_subject
    from erased

),

spelling as (

    select
        source_format,
        max(action) filter (where field = 'user_id') as user_id_action,
        max(action) filter (where field = 'anonymous_id') as anonymous_id_action
    from {{ ref('int_field_decisions') }}
    group by source_format

),

-- by the row alone: a tenant's first rows are judged before it has keys, and one that was erased has none any more
with_tenant as (

    select
        clocked.*,
        erasure_key.inner_pad,
        erasure_key.outer_pad,
        case when erasure_key.inner_pad is not null then {{ erased_tenant('erasure_key', 'clocked.tenant_id') }} end
            as tenant_subject
    from clocked
    left join erasure_key on true

),

-- rows of tenants of whom nobody was erased cost no more than that
with_subject as (

    select
        with_tenant.*,
        case
            when tenants_with_erased.tenant_subject is null then null
            when with_tenant.user_id is not null and spelling.user_id_action = 'tokenise_exact'
                then {{ erased_person('with_tenant', 'user', 'with_tenant.user_id', case_matters=true) }}
            when with_tenant.user_id is not null
                then {{ erased_person('with_tenant', 'user', 'with_tenant.user_id') }}
            when with_tenant.anonymous_id is not null and spelling.anonymous_id_action = 'tokenise_exact'
                then {{ erased_person('with_tenant', 'anonymous', 'with_tenant.anonymous_id', case_matters=true) }}
            when with_tenant.anonymous_id is not null
                then {{ erased_person('with_tenant', 'anonymous', 'with_tenant.anonymous_id') }}
        end as person_subject
    from with_tenant
    left join tenants_with_erased on with_tenant.tenant_subject = tenants_with_erased.tenant_subject
    left join spelling on with_tenant.source_format = spelling.source_format

),

-- what happened after an erasure is a new start
with_erasure as (

    select
        with_subject.*,
        coalesce(with_subject.occurred_at < person.erased_before, person.subject is not null)
        or coalesce(with_subject.occurred_at < whole.erased_before, whole.subject is not null) as is_erased
    from with_subject
    left join erased as person on with_subject.person_subject = person.subject
    left join erased as whole on with_subject.tenant_subject = whole.subject

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
        with_erasure.*,
        coalesce(own.tenant_id, fallback.tenant_id) is not null as has_plan,
        plans.rules,
        case when plans.rules is not null then {{ json_members(json_shape('with_erasure.properties')) }} end as members
    from with_erasure
    left join with_plan as own on with_erasure.tenant_id = own.tenant_id
    left join with_plan as fallback on fallback.tenant_id = '*'
    left join plans
        on coalesce(own.tenant_id, fallback.tenant_id) = plans.tenant_id
        and with_erasure.event_name = plans.event_name

),

judged as (

    select
        {%- for column in clocked_columns() %}
        planned.{{ column }},
        {%- endfor %}
        case
            when planned.is_erased then 'erased'
            when planned.defect is not null then planned.defect
            when not planned.is_object then 'unparsable'
            when planned.is_mismatch then 'tenant_mismatch'
            when planned.tenant_id is null then 'missing_tenant'
            when listed.tenant_id is null and fallback.tenant_id is null then 'unknown_tenant'
            when planned.user_id is null and planned.anonymous_id is null then 'missing_identity'
            when planned.occurred_at is null or planned.occurred_at < timestamp '1990-01-01' then 'bad_timestamp'
            when planned.occurred_at < coalesce(listed.expired_at, fallback.expired_at) then 'expired'
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
