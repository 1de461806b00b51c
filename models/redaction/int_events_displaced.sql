{%- set accepted = built('int_events', 'tenant') -%}
{%- set earlier = built('int_events_displaced') -%}

with won as (

    select * from {{ ref('int_events_won') }}

),

batch_rows as (

    select * from {{ ref('int_batch_rows') }}

),

in_work as (

    select batch_id from {{ source('landing', 'landing_batch') }}

),

{% if accepted -%}
leaving as (

    select
        accepted.tenant_key,
        accepted.unit_key,
        accepted.event_key,
        accepted.occurred_at,
        accepted.landing_file,
        accepted.landing_row,
        batch_rows.landing_row is not null as is_read_again
    from {{ accepted }} as accepted
    left join batch_rows
        on accepted.landing_file = batch_rows.landing_file
        and accepted.landing_row = batch_rows.landing_row
    left join won
        on accepted.tenant_key = won.tenant_key
        and accepted.unit_key = won.unit_key
        and accepted.event_key = won.event_key
    where batch_rows.landing_row is not null or won.landing_row is not null

),
{%- else -%}
leaving as (

    select
        won.*,
        false as is_read_again
    from won
    where false

),
{%- endif %}

displaced as (

    select
        in_work.batch_id,
        leaving.*
    from leaving
    left join in_work on true
    {%- if earlier %}
    -- a batch that was killed after int_events had changed is run again, and finds nothing left to displace
    union all
    select
        batch_id,
        tenant_key,
        unit_key,
        event_key,
        occurred_at,
        landing_file,
        landing_row,
        is_read_again
    from {{ earlier }}
    where batch_id in (select batch_id from in_work) and not is_read_again
    {%- endif %}

)

select * from displaced
