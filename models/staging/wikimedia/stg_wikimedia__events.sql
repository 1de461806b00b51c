with source as (

    {{ landed('wikimedia', {
        'edited_at': '$.time',
        'channel': '$.channel',
        'user_name': '$.user',
        'namespace': '$.namespace',
        'country_iso_code': '$.countryIsoCode',
        'edit': '$'
    }) }}

),

-- The stream has no event id: the contract makes one of the content. The user name of an anonymous edit is an IP address;
-- as an identifier it is tokenised like any other.
renamed as (

    {{ event_contract('source', {
        'tenant_id': 'channel',
        'user_id': 'user_name',
        'event_name': "'edit'",
        'feature': 'namespace',
        'country': 'country_iso_code',
        'properties': 'edit',
        'occurred_at': utc_timestamp('edited_at')
    }) }}

)

select * from renamed
