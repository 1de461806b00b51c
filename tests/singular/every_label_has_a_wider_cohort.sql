-- Every attribute has a parent for the values that no row names, so that each tenant has a place; and no parent is a value too,
-- for then one name would mean two cohorts.
with hierarchies as (

    select * from {{ ref('cohort_hierarchies') }}

),

attributes as (

    select unnest(['industry', 'region', 'size_band']) as attribute_name

),

without_default as (

    select attributes.attribute_name
    from attributes
    anti join hierarchies on attributes.attribute_name = hierarchies.attribute and hierarchies.value = '*'

),

ambiguous as (

    select wider.attribute as attribute_name
    from hierarchies as wider
    semi join hierarchies as narrower on wider.attribute = narrower.attribute and wider.parent = narrower.value
    where wider.parent <> '*'

)

select attribute_name from without_default
union all
select attribute_name from ambiguous
