{#- What keys that users make are counted for, exact, over all tenants that consent: what a release of the kind `keys`
    selects from. `contributions` is a CTE with one row or more per unit and key: period_start, tenant_key, unit_key, key.

    Of each contributor a sample of `tenant_cap` units counts, of each of these `max_cells` keys, for one each. So a unit
    that comes adds one to its keys and may take one from those of a unit whose place in the sample it takes; to weigh all
    units instead would touch every key of the contributor. What is chosen is decided by a hash of the unit, which is an
    HMAC under its tenant's key already: nobody outside can tell who is in it. Numbers come from the rows that the noise is
    scaled to (`quorum.release_control`); the proof is in docs/privacy-model.md. -#}
{% macro key_counts(release, contributions) -%}
select * from (

    with periods as (

        select * from {{ source('cross_tenant_control', 'release_periods') }}
        where release = '{{ release }}'

    ),

    blocks as (

        select * from {{ source('cross_tenant_control', 'release_blocks') }}
        where release = '{{ release }}'

    ),

    members as (

        select * from {{ ref('cohort_tenants') }}

    ),

    candidates as (

        select distinct
            contributions.period_start,
            members.contributor_key,
            contributions.tenant_key,
            contributions.unit_key,
            contributions.key
        from {{ contributions }} as contributions
        inner join periods on contributions.period_start = periods.period_start
        inner join members
            on contributions.period_start = members.period_start
            and contributions.tenant_key = members.tenant_key
        where {{ is_sound_key('contributions.key') }}

    ),

    units as (

        select
            *,
            contributor_key || ' ' || tenant_key || ' ' || unit_key || ' ' || cast(period_start as varchar) as choice
        from (select distinct period_start, contributor_key, tenant_key, unit_key from candidates) as of_candidates

    ),

    ranked as (

        select
            *,
            row_number() over (
                partition by period_start, contributor_key order by {{ sha256_text('choice') }}, tenant_key, unit_key
            ) as place
        from units

    ),

    sampled as (

        select ranked.*
        from ranked
        inner join periods on ranked.period_start = periods.period_start
        where ranked.place <= periods.tenant_cap

    ),

    touched as (

        select
            candidates.*,
            row_number() over (
                partition by candidates.period_start, candidates.contributor_key, candidates.tenant_key, candidates.unit_key
                order by {{ sha256_text("sampled.choice || ' ' || candidates.key") }}, candidates.key
            ) as place
        from candidates
        inner join sampled using (period_start, contributor_key, tenant_key, unit_key)

    ),

    filled as (

        select touched.*
        from touched
        inner join blocks on touched.period_start = blocks.period_start
        where touched.place <= blocks.max_cells

    ),

    of_contributors as (

        select
            period_start,
            key,
            contributor_key,
            count(*) as users
        from filled
        group by period_start, key, contributor_key

    ),

    counted as (

        select
            period_start,
            key,
            cast(sum(users) as bigint) as users,
            count(*) as contributors,
            max(users) as largest
        from of_contributors
        group by period_start, key

    )

    select * from counted

) as key_counts
{%- endmacro %}

{#- Whether a text may be a key that all can see: up to 64 letters and digits in words that begin with a letter, a dollar
    sign or an underscore, or with a colon before it, as `:id` does in a path; no more than three digits in a row. So no
    number, address or token is one, and no key can look like one to those who check what is published. -#}
{% macro is_sound_key(key) -%}
    {%- set word = ':?[A-Za-z_$][A-Za-z0-9_$]*' -%}
    length({{ key }}) <= 64
    and {{ matches(key, '^(?:/|/?' ~ word ~ '(?:[ ./-]' ~ word ~ ')*/?)$') }}
    and not {{ matches(key, '[0-9]{4}') }}
{%- endmacro %}
