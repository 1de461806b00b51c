with source as (

    {{ landed('segment', {
        'message_id': ['$.messageId', '$.id'],
        'user_id': ['$.userId', '$.user_id'],
        'anonymous_id': ['$.anonymousId', '$.anonymous_id'],
        'group_id': ['$.groupId', '$.group_id', '$.context.groupId', '$.context_group_id'],
        'event': ['$.event_text', '$.event', '$.type'],
        'page_url': ['$.context.page.url', '$.context_page_url'],
        'page_referrer': ['$.context.page.referrer', '$.context_page_referrer'],
        'ip': ['$.context.ip', '$.context_ip'],
        'user_agent': ['$.context.userAgent', '$.context_user_agent'],
        'location_country': ['$.context.location.country', '$.context_location_country'],
        'device_type': ['$.context.device.type', '$.context_device_type'],
        'library_name': ['$.context.library.name', '$.context_library_name'],
        'properties': ['$.properties', '$.traits', '$'],
        'corrected_at': '$.timestamp',
        'received_at': ['$.receivedAt', '$.received_at']
    }) }}

),

renamed as (

    {{ event_contract('source', {
        'event_id': 'message_id',
        'user_id': 'user_id',
        'anonymous_id': 'anonymous_id',
        'account_id': 'group_id',
        'event_name': 'event',
        'feature': 'event',
        'url': 'page_url',
        'referrer': 'page_referrer',
        'ip': 'ip',
        'user_agent': 'user_agent',
        'country': 'location_country',
        'platform': "case when library_name = 'analytics.js' then 'web' else lower(device_type) end",
        'properties': 'properties',
        'occurred_at': utc_timestamp('corrected_at'),
        'received_at': utc_timestamp('received_at')
    }) }}

)

select * from renamed
