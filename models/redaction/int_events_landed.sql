{#- What every staging view gives, in one order. -#}
{%- set contract = ['landing_file', 'landing_row', 'source_format', 'folder_tenant', 'line', 'defect', 'is_object']
    + contract_fields().keys() | list -%}
{%- set decided_here = ['folder_tenant', 'tenant_id', 'event_id', 'occurred_at'] -%}
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

-- a folder `tenant=<id>` says whose the rows are; where the rows name a tenant too, they must agree
owned as (

    select
        {%- for column in contract if column not in decided_here %}
        formats.{{ column }},
        {%- endfor %}
        coalesce(formats.folder_tenant, formats.tenant_id) as tenant_id,
        formats.folder_tenant <> formats.tenant_id as is_mismatch,
        coalesce(formats.event_id, {{ sha256_text('formats.line') }}) as event_id,
        coalesce(formats.occurred_at, formats.received_at) as occurred_at,
        case when formats.occurred_at is null then 'received_at' else 'occurred_at' end as occurred_at_rule
    from formats

),

judged as (

    select
        owned.*,
        case
            when owned.defect is not null then owned.defect
            when not owned.is_object then 'unparsable'
            when owned.is_mismatch then 'tenant_mismatch'
            when owned.tenant_id is null then 'missing_tenant'
            when listed.tenant_id is null and fallback.tenant_id is null then 'unknown_tenant'
            when owned.user_id is null and owned.anonymous_id is null then 'missing_identity'
            when owned.occurred_at is null or owned.occurred_at < timestamp '1990-01-01' then 'bad_timestamp'
            when owned.occurred_at > run.closed_at + interval 1 day then 'future_timestamp'
            when owned.occurred_at - interval 1 day > owned.received_at then 'future_timestamp'
        end as reason
    from owned
    cross join run
    left join registered as listed on owned.tenant_id = listed.tenant_id and listed.tenant_id <> '*'
    -- the row `*` is a rule and never a tenant
    left join registered as fallback on fallback.tenant_id = '*' and owned.tenant_id <> '*'

)

select * from judged
