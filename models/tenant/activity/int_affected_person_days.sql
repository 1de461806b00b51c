{%- set kept = built('fct_person_days') -%}

with activity as (

    select * from {{ ref('int_affected_activity') }}

),

touched as (

    select distinct
        tenant_key,
        person_key,
        activity_date
    from activity

),

{% if kept -%}
-- the next active day looks back at this one
following as (

    select
        touched.tenant_key,
        touched.person_key,
        min(kept.activity_date) as activity_date
    from touched
    inner join {{ kept }} as kept
        on touched.tenant_key = kept.tenant_key
        and touched.person_key = kept.person_key
        and touched.activity_date < kept.activity_date
    where kept.is_active
    group by touched.tenant_key, touched.person_key, touched.activity_date

),

affected as (

    select * from touched
    union
    select * from following

)
{%- else -%}
affected as (

    select * from touched

)
{%- endif %}

select * from affected
