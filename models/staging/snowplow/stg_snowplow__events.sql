{%- set client_session = '$.contexts_com_snowplowanalytics_snowplow_client_session_1[0]' -%}

with source as (

    {{ landed('snowplow', {
        'event_id': '$.event_id',
        'user_id': '$.user_id',
        'device_id': ['$.domain_userid', client_session ~ '.userId', client_session ~ '.user_id'],
        'session_id': ['$.domain_sessionid', client_session ~ '.sessionId', client_session ~ '.session_id'],
        'event': ['$.event_name', '$.event'],
        'page_url': '$.page_url',
        'page_referrer': '$.page_referrer',
        'user_ipaddress': '$.user_ipaddress',
        'useragent': '$.useragent',
        'geo_country': '$.geo_country',
        'platform': '$.platform',
        'atomic_event': '$',
        'derived_tstamp': '$.derived_tstamp',
        'collector_tstamp': '$.collector_tstamp'
    }) }}

),

-- an app_id names an application and not whose data it is, so it is no tenant
renamed as (

    {{ event_contract('source', {
        'event_id': 'event_id',
        'user_id': 'user_id',
        'anonymous_id': 'device_id',
        'session_id': 'session_id',
        'event_name': 'event',
        'feature': 'event',
        'url': 'page_url',
        'referrer': 'page_referrer',
        'ip': 'user_ipaddress',
        'user_agent': 'useragent',
        'country': 'geo_country',
        'platform': "case platform when 'srv' then 'server' when 'pc' then 'desktop' else platform end",
        'properties': 'atomic_event',
        'occurred_at': utc_timestamp('derived_tstamp'),
        'received_at': utc_timestamp('collector_tstamp')
    }) }}

)

select * from renamed
