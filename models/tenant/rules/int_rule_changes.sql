with rules as (

    select * from {{ ref('int_tenant_rules') }}

),

followed as (

    select * from {{ source('followed', 'rules_followed') }}

),

-- or that is none any more, its keys being shredded; for a new one nothing was built that could be built anew
changed as (

    select followed.tenant_key
    from followed
    left join rules on followed.tenant_key = rules.tenant_key
    where rules.rules_digest is distinct from followed.rules_digest

)

select * from changed
