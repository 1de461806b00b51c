-- depends_on: {{ ref('int_batch_rows') }}
{{ config(
    materialized='incremental',
    full_refresh=false,
    meta={
        'removed_by': 'int_batch_rows',
        'removed_when': 'kept.landing_file = removed.landing_file and kept.landing_row = removed.landing_row',
    },
) }}

with over_quota as (

    select * from {{ ref('int_quota_ranks') }}
    where quota is not null

),

tenants_over_quota as (

    select distinct tenant_key
    from over_quota
    where quota = 'tenant'

),

-- until all that it has is admitted, a unit comes later than by its own rows alone
held_units as (

    {% if is_incremental() -%}
    select distinct
        tenant_key,
        unit_key
    from {{ this }}
    where holds_answers
    {%- else -%}
    select
        tenant_key,
        unit_key
    from over_quota
    where false
    {%- endif %}

),

deferred as (

    select
        over_quota.landing_file,
        over_quota.landing_row,
        over_quota.tenant_key,
        over_quota.unit_key,
        over_quota.occurred_at,
        over_quota.quota,
        -- what a user's quota defers is the same whatever other users sent, so no answer has to wait for it
        over_quota.was_ever_in_benchmarks
        and (tenants_over_quota.tenant_key is not null or held_units.unit_key is not null) as holds_answers
    from over_quota
    left join tenants_over_quota on over_quota.tenant_key = tenants_over_quota.tenant_key
    left join held_units
        on over_quota.tenant_key = held_units.tenant_key
        and over_quota.unit_key = held_units.unit_key

)

select * from deferred
