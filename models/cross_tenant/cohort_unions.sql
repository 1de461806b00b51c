{#- The unions of atoms that are measured beside the atoms, by the attributes that they look at. -#}
{%- set levels = {'industry': ['industry'], 'all': []} -%}
{%- set attributes = ['industry', 'region', 'size_band'] -%}

with atoms as (

    select * from {{ ref('cohort_atoms') }}

),

unions as (

    select
        period_start,
        'atom' as cohort_level,
        {%- for attribute in attributes %}
        cohort_{{ attribute }},
        {%- endfor %}
        cohort_key as atom_key,
        is_in_transition
    from atoms
    {%- for level, looked_at in levels.items() %}
    union all
    select
        period_start,
        '{{ level }}' as cohort_level,
        {%- for attribute in attributes %}
        {{ 'cohort_' ~ attribute if attribute in looked_at else "'*' as cohort_" ~ attribute }},
        {%- endfor %}
        cohort_key as atom_key,
        is_in_transition
    from atoms
    {%- for attribute in looked_at %}
    {{ 'where' if loop.first else 'and' }} cohort_{{ attribute }} <> '*'
    {%- endfor %}
    {%- endfor %}

),

keyed as (

    select
        period_start,
        cohort_level,
        cohort_industry || '/' || cohort_region || '/' || cohort_size_band as cohort_key,
        cohort_industry,
        cohort_region,
        cohort_size_band,
        atom_key,
        is_in_transition
    from unions

)

select * from keyed
