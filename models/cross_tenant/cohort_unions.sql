{#- The unions of atoms that may be measured beside the atoms, by the labels that they look at. An atom that is
    wider than those is in none of that level: of a whole sector, no industry is known. -#}
{%- set levels = {
    'industry': {'industry': 'industry'},
    'sector': {'industry': 'sector'},
    'wider_region': {'region': 'wider_region'},
    'all': {},
} -%}
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
        {{ 'cohort_' ~ looked_at[attribute] if attribute in looked_at else "'*'" }} as cohort_{{ attribute }},
        {%- endfor %}
        cohort_key as atom_key,
        is_in_transition
    from atoms
    where
        true
        {%- for label in looked_at.values() %}
        and cohort_{{ label }} <> '*'
        {%- endfor %}
        {%- if level == 'industry' %}
        and cohort_industry <> cohort_sector
        {%- endif %}
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
