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

variants as (

    {{ of_affected(ref('int_experiment_variants')) }}

),

checks as (

    select * from {{ ref('int_experiment_checks') }}

),

with_rates as (

    select
        *,
        {{ rate('converted_users', 'exposed_users') }} as conversion_rate,
        {{ wilson_low('converted_users', 'exposed_users') }} as conversion_rate_low,
        {{ wilson_high('converted_users', 'exposed_users') }} as conversion_rate_high
    from variants

),

against_control as (

    select
        with_rates.*,
        checks.starts_on,
        checks.ends_on,
        checks.days_observed,
        checks.all_users,
        checks.all_weights,
        checks.ratio_chi_square,
        checks.ratio_degrees,
        checks.is_mismatched,
        checks.verdict_reason,
        with_rates.variant = checks.control as is_control,
        with_rates.conversion_rate - controls.conversion_rate as difference,
        {{ newcombe_low(
            'with_rates.conversion_rate', 'with_rates.conversion_rate_low', 'controls.conversion_rate', 'controls.conversion_rate_high'
        ) }} as difference_low,
        {{ newcombe_high(
            'with_rates.conversion_rate', 'with_rates.conversion_rate_high', 'controls.conversion_rate', 'controls.conversion_rate_low'
        ) }} as difference_high
    from with_rates
    inner join checks
        on with_rates.tenant_key = checks.tenant_key
        and with_rates.experiment = checks.experiment
    left join with_rates as controls
        on with_rates.tenant_key = controls.tenant_key
        and with_rates.experiment = controls.experiment
        and checks.control = controls.variant
        and with_rates.variant <> controls.variant

),

final as (

    select
        tenant_key,
        experiment,
        variant,
        is_control,
        starts_on,
        ends_on,
        cast(days_observed as bigint) as days_observed,
        cast(exposed_users as bigint) as exposed_users,
        cast(crossovers as bigint) as crossovers,
        cast(excluded_users as bigint) as excluded_users,
        {{ rate('exposed_users', 'all_users') }} as exposed_share,
        {{ rate('weight', 'all_weights') }} as expected_share,
        cast(ratio_chi_square as decimal(24, 6)) as ratio_chi_square,
        cast(ratio_degrees as bigint) as ratio_degrees,
        is_mismatched as has_ratio_mismatch,
        cast(converted_users as bigint) as converted_users,
        conversion_rate,
        conversion_rate_low,
        conversion_rate_high,
        {{ sample_state('exposed_users') }} as conversion_rate_state,
        cast(difference as decimal(9, 6)) as difference,
        difference_low,
        difference_high,
        case
            when is_control then 'control'
            when verdict_reason is not null then 'do_not_read_yet'
            when difference_low > 0 then 'better'
            when difference_high < 0 then 'worse'
            else 'no_difference'
        end as verdict,
        verdict_reason
    from against_control

)

select * from final
