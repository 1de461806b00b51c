with measured as (

    select * from {{ source('cross_tenant_control', 'measured_groups') }}

),

cohorts as (

    select
        period_start,
        cohort_key,
        max(registered_contributors) as registered_contributors,
        max(information_loss) as information_loss
    from {{ source('cross_tenant_control', 'cohort_maps') }}
    group by period_start, cohort_key

),

-- of all groups of an answer together
totals as (

    select
        release,
        period_start,
        sum(contributors) as contributors,
        sum(users) as users,
        count(*) filter (where is_eligible) as eligible_groups,
        coalesce(sum(contributors) filter (where is_eligible), 0) as eligible_contributors,
        coalesce(sum(users) filter (where is_eligible), 0) as eligible_users
    from measured
    group by release, period_start

),

-- a class in the sense of re-identification is a group: nothing that is shown tells its contributors apart
judged as (

    select
        measured.release,
        measured.period_start,
        measured.cohort_key,
        measured.segment,
        measured.is_eligible,
        measured.contributors,
        measured.users,
        measured.weight,
        measured.largest_weight / nullif(measured.weight, 0) as largest_share,
        measured.min_tenants,
        measured.tenant_cap,
        1 / nullif(measured.contributors, 0) as prosecutor_risk,
        1 / nullif(cohorts.registered_contributors, 0) as journalist_risk,
        totals.eligible_groups / nullif(totals.eligible_contributors, 0) as marketer_risk,
        cohorts.information_loss,
        (totals.contributors - totals.eligible_contributors) / nullif(totals.contributors, 0) as withheld_contributors_share,
        (totals.users - totals.eligible_users) / nullif(totals.users, 0) as withheld_users_share
    from measured
    inner join totals using (release, period_start)
    left join cohorts using (period_start, cohort_key)

)

select * from judged
