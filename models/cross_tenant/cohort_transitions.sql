with periods as (

    select distinct
        period_start,
        previous_start,
        thin_below
    from {{ source('cross_tenant_control', 'release_periods') }}

),

-- that unlisted tenants exist is data, and nothing here looks at data
members as (

    select * from {{ ref('cohort_tenants') }}
    where listing in ('listed', 'default')

),

first_versions as (

    select
        tenant_key,
        min(valid_from) as listed_from
    from {{ ref('dim_tenants') }}
    where listing = 'listed'
    group by tenant_key

),

earlier as (

    select
        periods.period_start,
        periods.previous_start,
        members.tenant_key,
        members.contributor_key,
        members.listing,
        members.cohort_key
    from periods
    inner join members on periods.previous_start = members.period_start

),

later as (

    select
        periods.period_start,
        periods.previous_start,
        members.tenant_key,
        members.contributor_key,
        members.listing,
        members.cohort_key
    from periods
    inner join members on periods.period_start = members.period_start

),

-- from which cohort to which; NULL is in none. Who changes its owner group leaves as one contributor and joins as another
moves as (

    select
        period_start,
        previous_start,
        contributor_key,
        earlier.cohort_key as from_cohort,
        later.cohort_key as to_cohort,
        coalesce(earlier.listing, later.listing) as listing
    from earlier
    full outer join later using (period_start, previous_start, tenant_key, contributor_key)

),

-- who is new on the registry may have lived by its row `*` until then. Whether it did is data, so their number is unknown
maybe_moved as (

    select
        periods.period_start,
        periods.previous_start,
        earlier.cohort_key as from_cohort,
        later.cohort_key as to_cohort
    from periods
    inner join first_versions
        on periods.previous_start < first_versions.listed_from
        and periods.period_start >= first_versions.listed_from
    inner join earlier
        on periods.period_start = earlier.period_start
        and periods.previous_start = earlier.previous_start
        and earlier.listing = 'default'
    left join later
        on periods.period_start = later.period_start
        and periods.previous_start = later.previous_start
        and first_versions.tenant_key = later.tenant_key

),

-- the row `*` stands for any number of contributors where it stays, and for as few as one where it moves
bundles as (

    select
        period_start,
        previous_start,
        from_cohort,
        to_cohort,
        count(distinct contributor_key) as contributors,
        coalesce(bool_or(listing = 'default' and from_cohort = to_cohort), false) as is_crowd
    from moves
    group by period_start, previous_start, from_cohort, to_cohort

),

thin as (

    select
        bundles.period_start,
        bundles.previous_start,
        bundles.from_cohort,
        bundles.to_cohort
    from bundles
    inner join periods using (period_start, previous_start)
    where bundles.contributors < periods.thin_below and not bundles.is_crowd
    union all
    select * from maybe_moved

),

-- of a cohort that lost a few, all that received the others would give those few away
withheld as (

    select
        period_start,
        to_cohort as cohort_key
    from thin
    where to_cohort is not null
    union
    select
        bundles.period_start,
        bundles.to_cohort as cohort_key
    from bundles
    semi join thin using (period_start, previous_start, from_cohort)
    where bundles.to_cohort is not null

)

select * from withheld
