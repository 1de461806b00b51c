{%- set kept = built('fct_events') -%}

with changes as (

    select * from {{ ref('int_event_changes') }}

),

events as (

    select * from {{ ref('int_events') }}

),

rule_changes as (

    select * from {{ ref('int_rule_changes') }}

),

identities as (

    select * from {{ ref('dim_identities') }}

),

{% if kept -%}
-- whose person is another now
misplaced as (

    select
        kept.tenant_key,
        kept.unit_key,
        kept.occurred_at
    from {{ kept }} as kept
    left join identities
        on kept.tenant_key = identities.tenant_key
        and kept.unit_key = identities.unit_key
        and kept.occurred_at >= identities.valid_from_at
        and kept.occurred_at < identities.valid_to_at
    where kept.person_key <> coalesce(identities.person_key, kept.unit_key)

),

-- of tenants that live by other rules now, all
under_other_rules as (

    select
        events.tenant_key,
        events.unit_key,
        events.occurred_at
    from events
    inner join rule_changes on events.tenant_key = rule_changes.tenant_key

),

spans as (

    select
        tenant_key,
        unit_key,
        min(occurred_at) as range_start,
        max(occurred_at) as range_end
    from (
        select * from misplaced
        union all
        select * from under_other_rules
    ) as moved
    group by tenant_key, unit_key, cast(occurred_at as date)
    union
    select
        tenant_key,
        unit_key,
        first_at as range_start,
        last_at as range_end
    from changes

)
{%- else -%}
spans as (

    select
        tenant_key,
        unit_key,
        first_at as range_start,
        last_at as range_end
    from changes

)
{%- endif %}

select * from spans
