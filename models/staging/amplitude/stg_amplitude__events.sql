with source as (

    {{ landed('amplitude', {
        'event_id': ['$."$insert_id"', '$.uuid'],
        'user_id': '$.user_id',
        'device_id': '$.device_id',
        'session_id': '$.session_id',
        'event_type': '$.event_type',
        'ip_address': '$.ip_address',
        'country': '$.country',
        'platform': '$.platform',
        'groups': '$.groups',
        'event_properties': '$.event_properties',
        'event_time': '$.event_time',
        'server_received_time': ['$.server_received_time', '$.server_upload_time']
    }) }}

),

with_groups as (

    {{ unpacked('source', 'groups', {'company': ['$.company', '$.organization', '$.account']}) }}

),

with_properties as (

    {{ unpacked('with_groups', 'event_properties', {
        'page_url': ['$."[Amplitude] Page Location"', '$."[Amplitude] Page URL"'],
        'referrer': '$.referrer'
    }) }}

),

-- a session is named by its first millisecond, on its device; -1 stands for none
renamed as (

    {{ event_contract('with_properties', {
        'event_id': 'event_id',
        'user_id': 'user_id',
        'anonymous_id': 'device_id',
        'account_id': first_item('company'),
        'session_id': "device_id || '.' || nullif(session_id, '-1')",
        'event_name': 'event_type',
        'feature': 'event_type',
        'url': 'page_url',
        'referrer': 'referrer',
        'ip': 'ip_address',
        'country': 'country',
        'platform': 'lower(platform)',
        'properties': 'event_properties',
        'occurred_at': utc_timestamp('event_time'),
        'received_at': utc_timestamp('server_received_time')
    }) }}

)

select * from renamed
