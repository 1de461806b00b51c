-- no token is made while those that are stored are of another key epoch
-- depends_on: {{ source('restricted_tokens', 'key_epochs') }}, {{ source('tenant_tokens', 'key_epochs') }}
with landed as (

    select * from {{ ref('int_events_landed') }}
    where reason is null

),

policies as (

    select
        *,
        {{ property_rules('property_rules') }} as allowed_properties
    from {{ ref('int_field_policies') }}

),

keys as (

    select * from {{ source('keyring', 'tenant_keys') }}

),

features as (

    select * from {{ ref('feature_catalog') }}

),

redacted as (

    select
        keys.tenant_key,
        {{ redact('event_id', token_forms('landed.event_id', 'event')) }} as event_key,
        {{ redact('event_name', {
            'keep_listed': listed_word('landed.event_name', 'policies.event_name_words', otherwise="'unlisted'")
        }) }} as event_name,
        {{ redact('feature', {'keep_listed': 'features.feature'}) }} as feature,
        {{ redact('occurred_at', instant_forms('landed.occurred_at')) }} as occurred_at,
        landed.occurred_at_rule,
        {{ redact('received_at', instant_forms('landed.received_at')) }} as received_at,
        {{ redact('user_id', token_forms('landed.user_id', 'user')) }} as user_key,
        {{ redact('anonymous_id', token_forms('landed.anonymous_id', 'anonymous')) }} as anonymous_key,
        {{ redact('account_id', token_forms('landed.account_id', 'account')) }} as account_key,
        {{ redact('session_id', token_forms('landed.session_id', 'session')) }} as client_session_key,
        {{ redact('url', {'strip': strip_url('landed.url', 'policies.url_words')}) }} as url_path,
        {{ redact('referrer', {'generalise': referrer_channel('landed.referrer')}) }} as referrer_channel,
        {{ redact('ip', {'truncate': truncate_ip('landed.ip')}) }} as ip_network,
        {{ redact('user_agent', {'generalise': user_agent_family('landed.user_agent')}) }} as user_agent_family,
        {{ redact('country', {'keep': country_code('landed.country'), 'generalise': country_code('landed.country')}) }} as country,
        {{ redact('platform', {'keep_listed': listed_word('landed.platform', 'policies.platform_words')}) }} as platform,
        {{ redact('duration_ms', number_forms('landed.duration_ms')) }} as duration_ms,
        {{ redact('value_minor', number_forms('landed.value_minor')) }} as value_minor,
        {{ allow_listed_json('landed.properties', 'policies.allowed_properties') }} as properties,
        landed.source_format,
        landed.landing_file,
        landed.landing_row
    from landed
    inner join keys on landed.tenant_id = keys.tenant_id
    inner join policies on landed.source_format = policies.source_format
    left join features on landed.source_format = features.source_format and landed.feature = features.raw_feature

),

-- the unit that a privacy guarantee speaks of: the user, or the device where no user is known
with_unit as (

    select
        *,
        coalesce(user_key, anonymous_key) as unit_key
    from redacted

)

select * from with_unit
