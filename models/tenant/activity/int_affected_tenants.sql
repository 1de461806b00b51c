with touched as (

    select * from {{ ref('int_affected_days') }}

),

rule_changes as (

    select * from {{ ref('int_rule_changes') }}

),

affected as (

    select tenant_key from touched
    union
    select tenant_key from rule_changes

)

select * from affected
