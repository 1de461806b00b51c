{%- set attributes = ['industry', 'region', 'size_band'] -%}

with maps as (

    select * from {{ source('cross_tenant_control', 'cohort_maps') }}

),

periods as (

    select distinct period_start from maps

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- attributes and consent as they stood when the period began; an owner group counts as one contributor
versions as (

    select
        periods.period_start,
        tenants.tenant_key,
        tenants.listing,
        coalesce('group ' || tenants.owner_group, tenants.tenant_key) as contributor_key,
        {%- for attribute in attributes %}
        tenants.{{ attribute }},
        {%- endfor %}
        tenants.benchmark_consent,
        row_number() over (
            partition by periods.period_start, tenants.tenant_key order by tenants.valid_from desc
        ) = 1 as is_in_force
    from periods
    inner join tenants on periods.period_start >= tenants.valid_from

),

consenting as (

    select * from versions
    where is_in_force and benchmark_consent

),

-- unlisted tenants have the labels of the registry's row `*`, and so its cohort
mapped as (

    select
        consenting.period_start,
        consenting.tenant_key,
        consenting.listing,
        consenting.contributor_key,
        maps.cohort_key,
        {%- for attribute in attributes %}
        maps.cohort_{{ attribute }},
        {%- endfor %}
        maps.cohort_sector,
        maps.cohort_wider_region
    from consenting
    inner join maps using (period_start, {{ attributes | join(', ') }})

)

select * from mapped
