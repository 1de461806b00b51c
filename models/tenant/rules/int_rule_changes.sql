with rules as (

    select * from {{ ref('int_tenant_rules') }}

),

followed as (

    select * from {{ source('followed', 'rules_followed') }}

),

-- a tenant that nothing was built for yet has nothing to build anew
changed as (

    select rules.tenant_key
    from rules
    inner join followed on rules.tenant_key = followed.tenant_key
    where rules.rules_digest <> followed.rules_digest

)

select * from changed
