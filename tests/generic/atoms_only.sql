{#- Each group is one atom of the map (`members`: period_start, tenant_key, cohort_key), and nobody of it is in another one too. -#}
{% test atoms_only(model, members) %}
    with cohorts as (

        select * from {{ model }}

    ),

    members as (

        select * from {{ members }}

    ),

    overlapping as (

        select
            period_start,
            tenant_key
        from members
        group by period_start, tenant_key
        having count(distinct cohort_key) > 1

    ),

    sound as (

        select
            members.period_start,
            members.cohort_key
        from members
        left join overlapping using (period_start, tenant_key)
        group by members.period_start, members.cohort_key
        having count(overlapping.tenant_key) = 0

    )

    select 1 as violation
    from cohorts
    anti join sound using (period_start, cohort_key)
{% endtest %}
