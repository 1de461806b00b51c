{#- What every staging view gives, in one order. -#}
{%- set contract = ['landing_file', 'landing_row', 'source_format', 'folder_tenant', 'line', 'defect', 'is_object']
    + contract_fields().keys() | list -%}
{%- set decided_here = ['line', 'folder_tenant', 'tenant_id', 'event_id', 'occurred_at', 'sent_at', 'received_at'] -%}
{{ refuse_unlisted_formats() }}

with formats as (

    {%- for source_format in var('formats') %}
    select {{ contract | join(', ') }} from {{ ref('stg_' ~ source_format ~ '__events') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

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

-- a folder `tenant=<id>` says whose the rows are; where the rows name a tenant too, they must agree
owned as (

    select
        {%- for column in contract if column not in decided_here %}
        formats.{{ column }},
        {%- endfor %}
        coalesce(formats.folder_tenant, formats.tenant_id) as tenant_id,
        formats.folder_tenant <> formats.tenant_id as is_mismatch,
        coalesce(formats.event_id, {{ sha256_text('formats.line') }}) as event_id,
        {{ within_calendar('formats.occurred_at') }} as claimed_at,
        {{ within_calendar('formats.sent_at') }} as sent_at,
        {{ within_calendar('formats.received_at') }} as received_at
    from formats

),

-- a clock that is off when the row is sent was off by as much when the event happened
corrected as (

    select
        *,
        case
            when
                sent_at not between received_at - interval 5 minute and received_at + interval 5 minute
                then received_at - (sent_at - claimed_at)
        end as corrected_at
    from owned

),

ruled as (

    select
        *,
        case
            when claimed_at is null then 'received_at'
            -- nothing happens after it was received; what claims so by more than a day is refused below
            when
                coalesce(corrected_at, claimed_at) > received_at
                and coalesce(corrected_at, claimed_at) <= received_at + interval 1 day
                then 'capped'
            when corrected_at is not null then 'corrected'
            else 'occurred_at'
        end as occurred_at_rule
    from corrected

),

clocked as (

    select
        *,
        case occurred_at_rule
            when 'occurred_at' then claimed_at
            when 'corrected' then corrected_at
            else received_at
        end as occurred_at
    from ruled

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
        {%- for column in passed_on + ['tenant_id', 'event_id', 'occurred_at', 'occurred_at_rule', 'received_at'] %}
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
