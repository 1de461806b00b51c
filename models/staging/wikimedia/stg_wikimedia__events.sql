with source as (

    {{ landed('wikimedia', {
        'edited_at': '$.time',
        'channel': '$.channel',
        'user_name': '$.user',
        'namespace': '$.namespace',
        'country_iso_code': '$.countryIsoCode',
        'properties': '$'
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

        channel as tenant_id,
        -- the stream has no event id: the contract makes one of the content
        cast(null as varchar) as event_id,
        -- the user name of an anonymous edit is an IP address; as an identifier it is tokenised like any other
        user_name as user_id,
        cast(null as varchar) as anonymous_id,
        cast(null as varchar) as account_id,
        cast(null as varchar) as session_id,

        'edit' as event_name,
        namespace as feature,
        cast(null as varchar) as url,
        cast(null as varchar) as referrer,
        cast(null as varchar) as ip,
        cast(null as varchar) as user_agent,
        country_iso_code as country,
        cast(null as varchar) as platform,
        properties,

        {{ utc_timestamp('edited_at') }} as occurred_at,
        cast(null as timestamp) as received_at,
        cast(null as bigint) as duration_ms,
        cast(null as bigint) as value_minor,
        cast(null as timestamp) as sent_at
    from source

)

select * from renamed
