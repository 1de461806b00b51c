-- Over the sources, each model of attribution credits every conversion of a week once, and all of its value.
with conversions as (

    select
        tenant_key,
        week_start,
        conversion,
        count(*) as conversions,
        sum(value_minor) as value_minor
    from {{ ref('fct_conversions') }}
    group by tenant_key, week_start, conversion

),

attribution_models as (

    select distinct attribution_model from {{ ref('mart_tenant_attribution') }}

),

credited as (

    select
        tenant_key,
        week_start,
        conversion,
        attribution_model,
        sum(credited_conversions) as conversions,
        sum(credited_value_minor) as value_minor,
        min(conversions_in_week) as conversions_in_week
    from {{ ref('mart_tenant_attribution') }}
    group by tenant_key, week_start, conversion, attribution_model

),

expected as (

    select
        conversions.*,
        attribution_models.attribution_model
    from conversions
    cross join attribution_models

)

select
    expected.conversions,
    credited.conversions as credited
from expected
full join credited
    on expected.tenant_key = credited.tenant_key
    and expected.week_start = credited.week_start
    and expected.conversion = credited.conversion
    and expected.attribution_model = credited.attribution_model
where
    expected.conversions is distinct from credited.conversions
    or expected.value_minor is distinct from credited.value_minor
    or expected.conversions is distinct from credited.conversions_in_week
