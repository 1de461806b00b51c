{#- From narrow to wide. A cohort needs enough contributors on the registry, so that it can hope to reach a quorum;
    who finds none at one level is counted again at the next. -#}
{%- set levels = [['industry', 'region', 'size_band'], ['industry', 'region'], ['industry']] -%}
{%- set attributes = levels[0] -%}

with due as (

    select * from {{ source('cross_tenant_control', 'release_periods') }}

),

-- the period before each that is due, too: who came and who left is seen by comparing the two
dated as (

    select
        period_start,
        atom_min_contributors
    from due
    union all
    select
        previous_start as period_start,
        atom_min_contributors
    from due

),

periods as (

    select
        period_start,
        max(atom_min_contributors) as atom_min_contributors
    from dated
    group by period_start

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- attributes and consent as they stood when the period began; an owner group counts as one contributor
versions as (

    select
        periods.period_start,
        periods.atom_min_contributors,
        tenants.tenant_key,
        tenants.listing,
        coalesce('group ' || tenants.owner_group, tenants.tenant_key) as contributor_key,
        tenants.industry,
        tenants.region,
        tenants.size_band,
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

-- the map is learnt from the registry alone; its row `*` stands for any number of tenants
remaining_0 as (

    select * from consenting
    where listing in ('listed', 'default')

),
{% for level in levels %}
wide_enough_{{ loop.index }} as (

    select period_start, {{ level | join(', ') }}
    from remaining_{{ loop.index0 }}
    group by period_start, {{ level | join(', ') }}
    having
        count(distinct contributor_key) >= max(atom_min_contributors)
        or count(*) filter (where listing = 'default') > 0

),

placed_{{ loop.index }} as (

    select distinct
        remaining.period_start,
        {%- for attribute in attributes %}
        remaining.{{ attribute }},
        {%- endfor %}
        {{ cohort_labels(attributes, level, 'remaining') }}
    from remaining_{{ loop.index0 }} as remaining
    semi join wide_enough_{{ loop.index }} using (period_start, {{ level | join(', ') }})

),

remaining_{{ loop.index }} as (

    select remaining.*
    from remaining_{{ loop.index0 }} as remaining
    anti join wide_enough_{{ loop.index }} using (period_start, {{ level | join(', ') }})

),
{% endfor %}
placed as (

    {%- for level in levels %}
    select * from placed_{{ loop.index }}
    union all
    {%- endfor %}
    select distinct
        remaining.period_start,
        {%- for attribute in attributes %}
        remaining.{{ attribute }},
        {%- endfor %}
        {{ cohort_labels(attributes, [], 'remaining') }}
    from remaining_{{ levels | length }} as remaining

),

mapped as (

    select
        consenting.period_start,
        consenting.tenant_key,
        consenting.listing,
        consenting.contributor_key,
        placed.cohort_industry || '/' || placed.cohort_region || '/' || placed.cohort_size_band as cohort_key,
        placed.cohort_industry,
        placed.cohort_region,
        placed.cohort_size_band
    from consenting
    inner join placed using (period_start, {{ attributes | join(', ') }})

)

select * from mapped
