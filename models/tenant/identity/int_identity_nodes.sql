with links as (

    select * from {{ ref('int_identity_links') }}

),

tenants as (

    select * from {{ ref('dim_tenants') }}

),

-- who is one person has no date: the rule that was declared last decides
limits as (

    select
        tenant_key,
        max_users_per_device,
        max_users_per_person,
        row_number() over (partition by tenant_key order by valid_from desc) = 1 as is_latest
    from tenants

),

edges as (

    select
        tenant_key,
        user_key,
        anonymous_key,
        min(first_at) as first_at
    from links
    group by tenant_key, user_key, anonymous_key

),

ends as (

    select
        tenant_key,
        user_key as unit_key,
        anonymous_key as other_key,
        first_at,
        true as is_user
    from edges
    union all
    select
        tenant_key,
        anonymous_key as unit_key,
        user_key as other_key,
        first_at,
        false as is_user
    from edges

),

nodes as (

    select
        ends.tenant_key,
        ends.unit_key,
        ends.is_user,
        count(*) as neighbours,
        min(ends.first_at) as first_at,
        min(limits.max_users_per_device) as max_users_per_device,
        min(limits.max_users_per_person) as max_users_per_person,
        {{ sha256_text(sorted_text(
            "ends.other_key || ' ' || cast(ends.first_at as varchar) || ' ' || limits.max_users_per_device || ' ' || limits.max_users_per_person"
        )) }} as adjacency
    from ends
    inner join limits on ends.tenant_key = limits.tenant_key and limits.is_latest
    group by ends.tenant_key, ends.unit_key, ends.is_user

)

select * from nodes
