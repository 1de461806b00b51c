with identities as (

    select * from {{ ref('int_identities') }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

of_one_person as (

    select
        tenant_key,
        unit_key,
        person_key,
        timestamp '1900-01-01' as valid_from_at,
        timestamp '2200-01-01' as valid_to_at
    from identities
    where person_key is not null

),

-- a shared device is whoever signed in on it last: each user's first event on it of a UTC day is a sign-in
sign_ins as (

    select
        shared.tenant_key,
        shared.unit_key,
        users.person_key,
        links.first_at,
        row_number() over (
            partition by shared.tenant_key, shared.unit_key
            order by links.first_at, links.user_key
        ) as sign_in
    from identities as shared
    inner join links
        on shared.tenant_key = links.tenant_key
        and shared.unit_key = links.anonymous_key
    inner join identities as users
        on links.tenant_key = users.tenant_key
        and links.user_key = users.unit_key
    where shared.person_key is null

),

-- before the first of them it is nobody but itself
holders as (

    select
        tenant_key,
        unit_key,
        unit_key as person_key,
        timestamp '1900-01-01' as valid_from_at,
        0 as sign_in
    from sign_ins
    where sign_in = 1
    union all
    select
        tenant_key,
        unit_key,
        person_key,
        first_at as valid_from_at,
        sign_in
    from sign_ins

),

bounded as (

    select
        tenant_key,
        unit_key,
        person_key,
        valid_from_at,
        coalesce(
            lead(valid_from_at) over (partition by tenant_key, unit_key order by sign_in),
            timestamp '2200-01-01'
        ) as valid_to_at
    from holders

),

mapped as (

    select * from of_one_person
    union all
    select * from bounded
    where valid_from_at < valid_to_at

)

select * from mapped
