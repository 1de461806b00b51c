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

    select
        landing_file,
        landing_row,
        source_format,
        folder_tenant,
        line,
        defect,
        is_object,

        tenant_id,
        event_id,
        user_id,
        anonymous_id,
        account_id,
        session_id,

        event_name,
        feature,
        url,
        referrer,
        ip,
        user_agent,
        country,
        platform,
        properties,

        {{ utc_timestamp('occurred_at') }} as occurred_at,
        {{ utc_timestamp('received_at') }} as received_at,
        {{ small_integer('duration_ms', 86400000) }} as duration_ms,
        {{ small_integer('value_minor', 1000000000) }} as value_minor,
        {{ utc_timestamp('sent_at') }} as sent_at
    from source

)

select * from renamed
