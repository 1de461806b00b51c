-- What a tenant has stored is all of one key epoch, that of the keyring: else one user would count as two, and no
-- bound on what a user adds would hold. A tenant that was never rotated is at its first epoch and on no list.
with stored as (

    select
        tenant_key,
        epoch
    from {{ source('restricted_tokens', 'key_epochs') }}
    union all
    select
        tenant_key,
        epoch
    from {{ source('tenant_tokens', 'key_epochs') }}

),

by_tenant as (

    select
        ring.tenant_key,
        ring.key_epoch,
        count(stored.epoch) as planes,
        min(stored.epoch) as first_epoch,
        max(stored.epoch) as last_epoch
    from {{ source('keyring', 'tenant_keys') }} as ring
    left join stored on ring.tenant_key = stored.tenant_key
    group by ring.tenant_key, ring.key_epoch

)

select * from by_tenant
where
    (planes = 0 and key_epoch <> 1)
    or (planes > 0 and (planes <> 2 or first_epoch <> key_epoch or last_epoch <> key_epoch))
