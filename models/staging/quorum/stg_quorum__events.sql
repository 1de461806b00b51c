with source as (

    {{ landed('quorum', {
        'tenant_id': '$.tenant_id',
        'event_id': '$.event_id',
        'event_name': '$.event_name',
        'feature': '$.feature',
        'occurred_at': '$.occurred_at',
        'received_at': '$.received_at',
        'sent_at': '$.sent_at',
        'user_id': '$.user_id',
        'anonymous_id': '$.anonymous_id',
        'account_id': '$.account_id',
        'session_id': '$.session_id',
        'url': '$.url',
        'referrer': '$.referrer',
        'ip': '$.ip',
        'user_agent': '$.user_agent',
        'country': '$.country',
        'platform': '$.platform',
        'duration_ms': '$.duration_ms',
        'value_minor': '$.value_minor',
        'properties': '$.properties'
    }) }}

),

renamed as (

    {{ event_contract('source', {
        'tenant_id': 'tenant_id',
        'event_id': 'event_id',
        'user_id': 'user_id',
        'anonymous_id': 'anonymous_id',
        'account_id': 'account_id',
        'session_id': 'session_id',
        'event_name': 'event_name',
        'feature': 'feature',
        'url': 'url',
        'referrer': 'referrer',
        'ip': 'ip',
        'user_agent': 'user_agent',
        'country': 'country',
        'platform': 'platform',
        'properties': 'properties',
        'occurred_at': utc_timestamp('occurred_at'),
        'received_at': utc_timestamp('received_at'),
        'sent_at': utc_timestamp('sent_at'),
        'duration_ms': small_integer('duration_ms', 86400000),
        'value_minor': small_integer('value_minor', 1000000000)
    }) }}

)

select * from renamed
