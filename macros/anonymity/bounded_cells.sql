{#- The integers that a release gives noise to, from what units did. `contributions` is a CTE with one row or more per
    unit that is active in a period: period_start, tenant_key, unit_key, segment (NULL without any), metric, key and
    value. A unit counts as active by any row; a row with a NULL metric says that and no more.

    Everything is bounded here, whatever the rows say: a unit is in one segment, adds one clamped value per sum, is in
    one bin per histogram, and fills `max_cells` cells per metric of distinct users. Then each contributor is weighed as
    `tenant_cap` users at the most. Numbers come from the rows that the noise is scaled to (`quorum.release_control`);
    the proof is in docs/privacy-model.md. A cell names what each contributor adds, for what a contributor has added is
    all that may be taken off an answer again, and for itself alone (`quorum.tenant_shares`).

    The call stands for the last select of a model, whose CTEs may have any names. -#}
{% macro bounded_cells(release, contributions) -%}
select * from (

    with periods as (

        select * from {{ source('cross_tenant_control', 'release_periods') }}
        where release = '{{ release }}'

    ),

    blocks as (

        select * from {{ source('cross_tenant_control', 'release_blocks') }}
        where release = '{{ release }}'

    ),

    layout as (

        select
            cells.period_start,
            cells.metric,
            cells.key,
            cells.position,
            cells.lower_edge,
            cells.upper_edge,
            blocks.bound,
            blocks.low,
            blocks.high,
            blocks.max_cells,
            blocks.scale,
            blocks.centre
        from {{ source('cross_tenant_control', 'release_cells') }} as cells
        inner join blocks using (release, period_start, metric)

    ),

    segments as (

        select segment
        from {{ source('cross_tenant_control', 'release_segments') }}
        where release = '{{ release }}'

    ),

    members as (

        select * from {{ ref('cohort_tenants') }}

    ),

    atoms as (

        select * from {{ ref('cohort_atoms') }}

    ),

    -- of a unit that claims several segments, the first one holds
    claimed as (

        select
            contributions.period_start,
            contributions.tenant_key,
            contributions.unit_key,
            members.cohort_key,
            members.contributor_key,
            min(segments.segment) as segment
        from {{ contributions }} as contributions
        inner join periods on contributions.period_start = periods.period_start
        inner join members
            on contributions.period_start = members.period_start
            and contributions.tenant_key = members.tenant_key
        inner join segments on contributions.segment is not distinct from segments.segment
        group by all

    ),

    touched as (

        select
            claimed.*,
            layout.metric,
            layout.key,
            layout.position,
            layout.bound,
            layout.low,
            layout.high,
            layout.max_cells,
            layout.scale,
            coalesce(sum(try_cast(contributions.value as bigint)), 0) as value
        from claimed
        inner join {{ contributions }} as contributions
            on claimed.period_start = contributions.period_start
            and claimed.tenant_key = contributions.tenant_key
            and claimed.unit_key = contributions.unit_key
            and claimed.segment is not distinct from contributions.segment
        inner join layout
            on claimed.period_start = layout.period_start
            and contributions.metric = layout.metric
            and (
                layout.bound = 'clamp'
                or layout.key = contributions.key
                or (contributions.value >= layout.lower_edge and contributions.value < coalesce(layout.upper_edge, contributions.value + 1))
            )
        group by all

    ),

    binned as (

        select
            period_start,
            tenant_key,
            unit_key,
            count(distinct metric) as histograms
        from touched
        where bound = 'bins'
        group by period_start, tenant_key, unit_key

    ),

    declared as (

        select
            period_start,
            count(*) as histograms
        from blocks
        where bound = 'bins'
        group by period_start

    ),

    -- the bins of a histogram add up to the users: who is in no bin of one is not among them
    units as (

        select claimed.*
        from claimed
        left join declared on claimed.period_start = declared.period_start
        left join binned
            on claimed.period_start = binned.period_start
            and claimed.tenant_key = binned.tenant_key
            and claimed.unit_key = binned.unit_key
        where coalesce(binned.histograms, 0) = coalesce(declared.histograms, 0)

    ),

    contributors as (

        select
            period_start,
            cohort_key,
            contributor_key,
            segment,
            count(*) as users
        from units
        group by period_start, cohort_key, contributor_key, segment

    ),

    ranked as (

        select
            *,
            count(*) over unit_metric as cells,
            row_number() over (unit_metric order by position) as place
        from touched
        semi join units using (period_start, tenant_key, unit_key)
        window unit_metric as (partition by period_start, tenant_key, unit_key, metric)

    ),

    weighed as (

        select
            period_start,
            cohort_key,
            contributor_key,
            segment,
            metric,
            key,
            case
                when bound = 'clamp' then scale * least(greatest(value, low), high)
                when bound = 'bins' then scale
                else {{ bounded_weight('scale', 'max_cells', 'cells') }}
            end as weight
        from ranked
        where bound <> 'bins' or place = 1

    ),

    totals as (

        select
            period_start,
            cohort_key,
            contributor_key,
            segment,
            metric,
            key,
            sum(weight) as total
        from weighed
        group by period_start, cohort_key, contributor_key, segment, metric, key

    ),

    -- a contributor's users count from the middle of each metric's range, whether or not they have a row of it
    balanced as (

        select
            contributors.period_start,
            contributors.cohort_key,
            contributors.contributor_key,
            contributors.segment,
            layout.metric,
            layout.key,
            {{ tenant_balanced(
                'coalesce(totals.total, 0) - layout.centre * contributors.users', 'contributors.users', 'periods.tenant_cap'
            ) }} as value
        from contributors
        inner join periods on contributors.period_start = periods.period_start
        inner join layout on contributors.period_start = layout.period_start
        left join totals
            on contributors.period_start = totals.period_start
            and contributors.cohort_key = totals.cohort_key
            and contributors.contributor_key = totals.contributor_key
            and contributors.segment is not distinct from totals.segment
            and layout.metric = totals.metric
            and layout.key is not distinct from totals.key

    ),

    counted as (

        select
            contributors.period_start,
            contributors.cohort_key,
            contributors.contributor_key,
            contributors.segment,
            contributors.users,
            least(contributors.users, periods.tenant_cap) as weight,
            cast(periods.count_scale * least(contributors.users, periods.tenant_cap) as bigint) as value
        from contributors
        inner join periods on contributors.period_start = periods.period_start

    ),

    cells as (

        select
            period_start,
            cohort_key,
            segment,
            'active_users' as metric,
            cast(null as varchar) as key,
            sum(value) as value,
            {{ sorted_list(struct_of({'contributor_key': 'contributor_key', 'value': 'value'})) }} as shares,
            count(*) as contributors,
            sum(users) as users,
            max(weight) as largest_weight
        from counted
        group by period_start, cohort_key, segment

        union all

        select
            period_start,
            cohort_key,
            segment,
            metric,
            key,
            sum(value) as value,
            {{ sorted_list(struct_of({'contributor_key': 'contributor_key', 'value': 'value'})) }} as shares,
            null as contributors,
            null as users,
            null as largest_weight
        from balanced
        group by period_start, cohort_key, segment, metric, key

    ),

    -- every cell of the public keyset has a row, empty or not
    keyset as (

        select
            atoms.period_start,
            atoms.cohort_key,
            segments.segment,
            'active_users' as metric,
            cast(null as varchar) as key
        from atoms
        semi join periods on atoms.period_start = periods.period_start
        cross join segments

        union all

        select
            atoms.period_start,
            atoms.cohort_key,
            segments.segment,
            layout.metric,
            layout.key
        from atoms
        inner join layout on atoms.period_start = layout.period_start
        cross join segments

    ),

    bounded as (

        select
            keyset.period_start,
            keyset.cohort_key,
            keyset.segment,
            keyset.metric,
            keyset.key,
            cast(coalesce(cells.value, 0) as bigint) as value,
            cells.shares,
            {%- for size in ['contributors', 'users', 'largest_weight'] %}
            case when keyset.metric = 'active_users' then cast(coalesce(cells.{{ size }}, 0) as bigint) end as {{ size }}
            {{- ',' if not loop.last }}
            {%- endfor %}
        from keyset
        left join cells
            on keyset.period_start = cells.period_start
            and keyset.cohort_key = cells.cohort_key
            and keyset.segment is not distinct from cells.segment
            and keyset.metric = cells.metric
            and keyset.key is not distinct from cells.key

    )

    select * from bounded

) as bounded_cells
{%- endmacro %}
