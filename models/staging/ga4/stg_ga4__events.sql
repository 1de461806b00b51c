with source as (

    {{ landed('ga4', {
        'user_id': '$.user_id',
        'user_pseudo_id': '$.user_pseudo_id',
        'event_name': '$.event_name',
        'event_timestamp': '$.event_timestamp',
        'event_params': '$.event_params',
        'geo_country': '$.geo.country',
        'platform': '$.platform'
    }) }}

),

with_object as (

    select
        *,
        {{ json_from_records('event_params') }} as params
    from source

),

with_params as (

    {{ unpacked('with_object', 'params', {
        'ga_session_id': '$.ga_session_id',
        'page_location': '$.page_location',
        'page_referrer': '$.page_referrer',
        'engagement_time_msec': '$.engagement_time_msec'
    }) }}

),

-- there is no event id, and a ga_session_id is the second at which it began: other users have the same
renamed as (

    {{ event_contract('with_params', {
        'event_id': surrogate_key(['user_pseudo_id', 'ga_session_id', 'event_name', 'event_timestamp', 'params']),
        'user_id': 'user_id',
        'anonymous_id': 'user_pseudo_id',
        'session_id': "user_pseudo_id || '.' || ga_session_id",
        'event_name': 'event_name',
        'feature': 'event_name',
        'url': 'page_location',
        'referrer': 'page_referrer',
        'country': 'geo_country',
        'platform': 'lower(platform)',
        'properties': 'params',
        'occurred_at': epoch_timestamp('event_timestamp'),
        'duration_ms': small_integer('engagement_time_msec', 86400000)
    }) }}

)

select * from renamed
