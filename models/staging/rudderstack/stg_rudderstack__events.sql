with source as (

    {{ landed('rudderstack', {
        'message_id': ['$.messageId', '$.id'],
        'user_id': ['$.userId', '$.user_id'],
        'anonymous_id': ['$.anonymousId', '$.anonymous_id'],
        'group_id': ['$.groupId', '$.group_id', '$.context.groupId', '$.context_group_id'],
        'session_id': ['$.context.sessionId', '$.context_session_id'],
        'event': ['$.event_text', '$.event', '$.type'],
        'page_url': ['$.context.page.url', '$.context_page_url'],
        'page_referrer': ['$.context.page.referrer', '$.context_page_referrer'],
        'ip': ['$.context.ip', '$.context_ip', '$.request_ip', '$.context_request_ip'],
        'user_agent': ['$.context.userAgent', '$.context_user_agent'],
        'location_country': ['$.context.location.country', '$.context_location_country'],
        'device_type': ['$.context.device.type', '$.context_device_type'],
        'channel': '$.channel',
        'properties': ['$.properties', '$.traits', '$'],
        'original_timestamp': ['$.originalTimestamp', '$.original_timestamp'],
        'sent_at': ['$.sentAt', '$.sent_at'],
        'received_at': ['$.receivedAt', '$.received_at']
    }) }}

),

renamed as (

    {{ event_contract('source', {
        'event_id': 'message_id',
        'user_id': 'user_id',
        'anonymous_id': 'anonymous_id',
        'account_id': 'group_id',
        'session_id': 'session_id',
        'event_name': 'event',
        'feature': 'event',
        'url': 'page_url',
        'referrer': "nullif(page_referrer, '$direct')",
        'ip': 'ip',
        'user_agent': 'user_agent',
        'country': 'location_country',
        'platform': 'lower(coalesce(device_type, channel))',
        'properties': 'properties',
        'occurred_at': utc_timestamp('original_timestamp'),
        'received_at': utc_timestamp('received_at'),
        'sent_at': utc_timestamp('sent_at')
    }) }}

)

select * from renamed
