{%- set declared = [
    'dim_tenants', 'dim_activity_rules', 'dim_listed_units', 'dim_funnels', 'dim_funnel_steps', 'dim_conversions', 'dim_experiments',
    'dim_experiment_variants'
] -%}

with rules as (

    {%- for relation in declared %}
    select
        tenant_key,
        '{{ relation }}' || {{ row_text(relation) }} as declaration
    from {{ ref(relation) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

digests as (

    select
        tenant_key,
        {{ sha256_text(sorted_text('declaration')) }} as rules_digest
    from rules
    group by tenant_key

)

select * from digests
