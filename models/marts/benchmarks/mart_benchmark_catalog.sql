with metrics as (

    select * from {{ source('answers', 'release_metrics') }}

),

final as (

    select
        release,
        metric,
        kind,
        estimand,
        owner,
        unit,
        population,
        period,
        cast(lookback_days as integer) as lookback_days,
        nullif(segments, '') as segments,
        nullif(bounds, '') as bounds,
        cast(cells as integer) as cells,
        rho,
        epsilon,
        delta,
        tolerance_points,
        cast(min_tenants as integer) as min_tenants,
        cast(tenant_cap as integer) as tenant_cap,
        cast(least_eligible_users as bigint) as least_eligible_users,
        cast(users_for_tolerance as bigint) as users_for_tolerance,
        policy_version
    from metrics

)

select * from final
