with keys as (

    select * from {{ source('keyring', 'tenant_keys') }}

),

internal_users as (

    select * from {{ source('control', 'internal_users') }}

),

policies as (

    select * from {{ ref('int_field_policies') }}

),

events as (

    select * from {{ ref('int_events') }}

),

rules as (

    {{ of_tenants('internal_users') }}

),

formats as (

    select distinct
        tenant_key,
        source_format
    from events

),

-- as redaction would have made them in any format that the tenant's events come in
tokens as (

    select
        rules.tenant_key,
        {{ redact('user_id', token_forms('rules.user_id', 'user')) }} as user_key,
        {{ redact('anonymous_id', token_forms('rules.anonymous_id', 'anonymous')) }} as anonymous_key,
        rules.valid_from,
        rules.listed_as
    from rules
    inner join keys on rules.tenant_key = keys.tenant_key
    inner join formats on rules.tenant_key = formats.tenant_key
    inner join policies on formats.source_format = policies.source_format

),

units as (

    select
        tenant_key,
        coalesce(user_key, anonymous_key) as unit_key,
        valid_from,
        case listed_as when 'internal' then 1 when 'test' then 2 when 'bot' then 3 else 4 end as precedence,
        listed_as
    from tokens

),

-- two spellings may be one unit: whoever is on a list by any of them is on it
listed as (

    select
        tenant_key,
        unit_key,
        valid_from,
        {{ first_by('listed_as', 'precedence') }} as listed_as
    from units
    group by tenant_key, unit_key, valid_from

)

select * from listed
