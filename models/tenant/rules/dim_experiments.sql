with keys as (

    select
        tenant_id,
        tenant_key
    from {{ source('keyring', 'tenant_keys') }}

),

experiments as (

    select * from {{ source('control', 'experiments') }}

),

zones as (

    select * from {{ ref('int_tenant_zones') }}

),

rules as (

    {{ of_tenants('experiments') }}

),

-- from the first instant of the first local day to the last one of the last, each by the clock of its day
dated as (

    select
        rules.tenant_key,
        rules.experiment,
        rules.exposure_event,
        rules.experiment_property,
        rules.variant_property,
        rules.control,
        rules.metric_event,
        rules.starts_on,
        rules.ends_on,
        {{ local_midnight('rules.starts_on', 'zones_at_start.timezone') }} as starts_at,
        {{ local_midnight('rules.ends_on + 1', 'zones_at_end.timezone') }} as ends_at,
        rules.min_sample,
        rules.min_days
    from rules
    inner join zones as zones_at_start
        on rules.tenant_key = zones_at_start.tenant_key
        and rules.starts_on >= zones_at_start.first_day
        and rules.starts_on < zones_at_start.end_day
    inner join zones as zones_at_end
        on rules.tenant_key = zones_at_end.tenant_key
        and rules.ends_on + 1 >= zones_at_end.first_day
        and rules.ends_on + 1 < zones_at_end.end_day

)

select * from dated
