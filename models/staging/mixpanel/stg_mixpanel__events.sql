with source as (

    {{ landed('mixpanel', {
        'event': ['$.event', '$.event_name'],
        'insert_id': ['$.properties."$insert_id"', '$.insert_id'],
        'sent_id': ['$.properties."$distinct_id_before_identity"', '$.properties.distinct_id', '$.distinct_id'],
        'user_id': ['$.properties."$user_id"', '$.user_id'],
        'device_id': ['$.properties."$device_id"', '$.device_id'],
        'event_time': ['$.properties.time', '$.time'],
        'properties': '$.properties'
    }) }}

),

with_properties as (

    {{ unpacked('source', 'properties', {
        'company': ['$.company_id', '$.company', '$.account_id'],
        'current_url': '$."$current_url"',
        'referrer': '$."$referrer"',
        'ip': '$.ip',
        'country_code': '$.mp_country_code',
        'library': '$.mp_lib',
        'os': '$."$os"',
        'duration_seconds': '$."$duration"',
        'processed_ms': '$.mp_processing_time_ms'
    }) }}

),

-- The id that was sent is the device's, marked or not, until there is a user. The exported distinct_id would be what
-- Mixpanel made of it since, by other events.
told_apart as (

    select
        *,
        case when sent_id like '$device:_%' then substr(sent_id, 9) else device_id end as anonymous_id,
        case when sent_id not like '$device:%' and coalesce(sent_id <> device_id, true) then sent_id end as sent_user_id
    from with_properties

),

-- what Mixpanel's own reports take for one event is exported each time that it was sent
renamed as (

    {{ event_contract('told_apart', {
        'event_id': 'case when insert_id is not null then '
            ~ surrogate_key(['insert_id', 'event', 'sent_id', 'event_time']) ~ ' end',
        'user_id': 'coalesce(user_id, sent_user_id)',
        'anonymous_id': 'anonymous_id',
        'account_id': first_item('company'),
        'event_name': 'event',
        'feature': 'event',
        'url': 'current_url',
        'referrer': "nullif(referrer, '$direct')",
        'ip': 'ip',
        'country': 'country_code',
        'platform': "case when library = 'web' then 'web' when library in ('node', 'python') then 'server' else lower(os) end",
        'properties': 'properties',
        'occurred_at': 'coalesce(' ~ epoch_timestamp('event_time') ~ ', ' ~ utc_timestamp('event_time') ~ ')',
        'received_at': epoch_timestamp('processed_ms'),
        'duration_ms': small_integer('try_cast(duration_seconds as decimal(18, 3)) * 1000', 86400000)
    }) }}

)

select * from renamed
