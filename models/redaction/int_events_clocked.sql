{{ config(materialized='view') }}
{%- set decided_here = [
    'is_mismatch', 'occurred_at_rule', 'tenant_id', 'event_id', 'occurred_at', 'received_at', 'sent_at'
] -%}
{%- set contract = ['landing_file', 'landing_row', 'source_format', 'folder_tenant', 'line', 'defect', 'is_object']
    + contract_fields().keys() | list -%}
{{ refuse_unlisted_formats() }}

with formats as (

    {%- for source_format in var('formats') %}
    select {{ contract | join(', ') }} from {{ ref('stg_' ~ source_format ~ '__events') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- a folder `tenant=<id>` says whose the rows are; where the rows name a tenant too, they must agree
owned as (

    select
        {%- for column in clocked_columns() | reject('in', decided_here) %}
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

)

select {{ clocked_columns() | join(', ') }} from clocked
