{{ config(
    materialized='incremental',
    incremental_strategy='replace_affected',
    on_schema_change='fail',
    meta={
        'affected_by': 'int_affected_tenants',
        'affected_when': 'kept.tenant_key = affected.tenant_key',
    },
) }}

with affected as (

    select * from {{ ref('int_affected_tenants') }}

),

active_weeks as (

    {{ of_affected(ref('int_active_weeks')) }}

),

weeks as (

    {{ of_affected(ref('int_tenant_weeks')) }}

),

neighbouring as (

    select
        active_weeks.tenant_key,
        active_weeks.population,
        weeks.week_number,
        lag(weeks.week_number) over in_order as week_before,
        lead(weeks.week_number) over in_order as week_after
    from active_weeks
    inner join weeks
        on active_weeks.tenant_key = weeks.tenant_key
        and active_weeks.week_start = weeks.week_start
    window in_order as (
        partition by active_weeks.tenant_key, active_weeks.population, active_weeks.member_key
        order by weeks.week_number
    )

),

counted as (

    select
        tenant_key,
        population,
        week_number,
        count(*) as active,
        sum(case when week_before is null then 1 else 0 end) as appeared,
        sum(case when week_before = week_number - 1 then 1 else 0 end) as stayed,
        sum(case when week_before < week_number - 1 then 1 else 0 end) as came_back,
        sum(case when week_after = week_number + 1 then 0 else 1 end) as departing
    from neighbouring
    group by tenant_key, population, week_number

),

populations as (

    select distinct
        tenant_key,
        population
    from counted

),

-- quiet weeks too; who leaves after a week is dormant in the next one
every_week as (

    select
        weeks.tenant_key,
        populations.population,
        weeks.week_start,
        coalesce(lag(counted.active) over in_order, 0) as opening_members,
        coalesce(counted.active, 0) as active_members,
        coalesce(counted.appeared, 0) as new_members,
        coalesce(counted.stayed, 0) as returning_members,
        coalesce(counted.came_back, 0) as resurrected_members,
        coalesce(lag(counted.departing) over in_order, 0) as dormant_members
    from weeks
    inner join populations on weeks.tenant_key = populations.tenant_key
    left join counted
        on weeks.tenant_key = counted.tenant_key
        and populations.population = counted.population
        and weeks.week_number = counted.week_number
    window in_order as (
        partition by weeks.tenant_key, populations.population
        order by weeks.week_number
    )

),

final as (

    select
        tenant_key,
        population,
        week_start,
        cast(opening_members as bigint) as opening_members,
        cast(active_members as bigint) as active_members,
        cast(new_members as bigint) as new_members,
        cast(returning_members as bigint) as returning_members,
        cast(resurrected_members as bigint) as resurrected_members,
        cast(dormant_members as bigint) as dormant_members,
        cast(new_members + resurrected_members - dormant_members as bigint) as net_growth,
        {{ exact_ratio('new_members + resurrected_members', 'dormant_members') }} as quick_ratio
    from every_week

)

select * from final
