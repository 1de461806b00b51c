with source as (

    {{ landed('posthog', {
        'uuid': '$.uuid',
        'event': '$.event',
        'distinct_id': '$.distinct_id',
        'ip_column': '$.ip',
        'properties': '$.properties',
        'occurred_at': '$.timestamp',
        'ingested_at': '$.created_at'
    }) }}

),

with_properties as (

    {{ unpacked('source', 'properties', {
        'user_id': '$."$user_id"',
        'device_id': ['$."$device_id"', '$."$anon_distinct_id"'],
        'is_identified': '$."$is_identified"',
        'has_profile': '$."$process_person_profile"',
        'company': ['$."$groups".company', '$."$groups".organization', '$."$groups".account'],
        'session_id': '$."$session_id"',
        'current_url': '$."$current_url"',
        'referrer': '$."$referrer"',
        'ip_property': '$."$ip"',
        'user_agent': ['$."$raw_user_agent"', '$."$user_agent"'],
        'geoip_country_code': '$."$geoip_country_code"',
        'lib': '$."$lib"',
        'os': ['$."$os_name"', '$."$os"']
    }) }}

),

-- Before anybody is identified, distinct_id is the device's own id. Servers send neither that nor the flag: there it is
-- a user's, unless they ask for no profile. A person_id is what PostHog knew at ingestion, and later events change it.
told_apart as (

    select
        *,
        case
            when is_identified in ('true', 'false') then is_identified = 'true'
            else coalesce(has_profile <> 'false', true) and coalesce(distinct_id <> device_id, true)
        end as is_user
    from with_properties

),

renamed as (

    {{ event_contract('told_apart', {
        'event_id': 'uuid',
        'user_id': 'case when is_user then coalesce(user_id, distinct_id) end',
        'anonymous_id': 'coalesce(device_id, case when not is_user then distinct_id end)',
        'account_id': 'company',
        'session_id': 'session_id',
        'event_name': 'event',
        'feature': 'event',
        'url': 'current_url',
        'referrer': "nullif(referrer, '$direct')",
        'ip': 'coalesce(ip_property, ip_column)',
        'user_agent': 'user_agent',
        'country': 'geoip_country_code',
        'platform': "case lib when 'web' then 'web' when 'posthog-node' then 'server' when 'posthog-python' then 'server'
            else lower(os) end",
        'properties': 'properties',
        'occurred_at': utc_timestamp('occurred_at'),
        'received_at': utc_timestamp('ingested_at')
    }) }}

)

select * from renamed
