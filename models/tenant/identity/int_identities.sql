-- the linter does not know recursion by key
-- noqa: disable=PRS
{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_identities',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.unit_key = affected.unit_key',
    },
) }}

with nodes as (

    select * from {{ ref('int_identity_nodes') }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

affected as (

    select * from {{ ref('int_affected_identities') }}

),

in_reach as (

    select nodes.*
    from nodes
    {%- if is_incremental() %}
    inner join affected
        on nodes.tenant_key = affected.tenant_key
        and nodes.unit_key = affected.unit_key
    {%- endif %}

),

-- one row per device and user of it; with a device that may join its users, all of them are in reach
uses as (

    select distinct
        in_reach.tenant_key,
        in_reach.unit_key as device_key,
        links.user_key,
        in_reach.neighbours,
        in_reach.neighbours <= in_reach.max_users_per_device as may_join
    from in_reach
    inner join links
        on in_reach.tenant_key = links.tenant_key
        and in_reach.unit_key = links.anonymous_key
    where not in_reach.is_user

),

joined as (

    select
        tenant_key,
        user_key,
        min(user_key) over (partition by tenant_key, device_key) as least_user_key
    from uses
    where may_join

),

edges as (

    select
        tenant_key,
        user_key as one_key,
        least_user_key as other_key
    from joined
    where user_key <> least_user_key
    union
    select
        tenant_key,
        least_user_key as one_key,
        user_key as other_key
    from joined
    where user_key <> least_user_key

),

components as (

    {{ connected_components('edges') }}

),

placed_users as (

    select
        in_reach.*,
        coalesce(components.component_key, in_reach.unit_key) as component_key
    from in_reach
    left join components
        on in_reach.tenant_key = components.tenant_key
        and in_reach.unit_key = components.node_key
    where in_reach.is_user

),

-- a person goes by the user id that was seen first; more user ids than a person may have are as many persons
users as (

    select
        tenant_key,
        unit_key,
        is_user,
        component_key,
        count(*) over (partition by tenant_key, component_key) > max_users_per_person as is_torn,
        case
            when count(*) over (partition by tenant_key, component_key) > max_users_per_person then unit_key
            else first_value(unit_key) over (partition by tenant_key, component_key order by first_at, unit_key)
        end as person_key,
        adjacency
    from placed_users

),

-- whose a device is, is a matter of time where several persons share it
devices as (

    select
        in_reach.tenant_key,
        in_reach.unit_key,
        in_reach.is_user,
        case when uses.may_join then min(users.component_key) else in_reach.unit_key end as component_key,
        case when uses.may_join and count(distinct users.person_key) = 1 then min(users.person_key) end as person_key,
        in_reach.adjacency
    from in_reach
    inner join uses
        on in_reach.tenant_key = uses.tenant_key
        and in_reach.unit_key = uses.device_key
    left join users
        on uses.tenant_key = users.tenant_key
        and uses.user_key = users.unit_key
    group by in_reach.tenant_key, in_reach.unit_key, in_reach.is_user, in_reach.adjacency, uses.may_join

),

identities as (

    select
        tenant_key,
        unit_key,
        is_user,
        component_key,
        person_key,
        adjacency
    from users
    union all
    select * from devices

)

select * from identities
