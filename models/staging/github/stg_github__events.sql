with source as (

    {{ landed('github', {
        'event_id': '$.id',
        'event_type': '$.type',
        'actor_login': '$.actor.login',
        'repo_name': '$.repo.name',
        'created_at': '$.created_at',
        'payload': '$.payload'
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

        nullif(split_part(repo_name, '/', 1), '') as tenant_id,
        event_id,
        actor_login as user_id,
        cast(null as varchar) as anonymous_id,
        repo_name as account_id,
        cast(null as varchar) as session_id,

        event_type as event_name,
        event_type as feature,
        cast(null as varchar) as url,
        cast(null as varchar) as referrer,
        cast(null as varchar) as ip,
        cast(null as varchar) as user_agent,
        cast(null as varchar) as country,
        cast(null as varchar) as platform,
        payload as properties,

        {{ utc_timestamp('created_at') }} as occurred_at,
        cast(null as timestamp) as received_at,
        cast(null as bigint) as duration_ms,
        cast(null as bigint) as value_minor,
        cast(null as timestamp) as sent_at
    from source

)

select * from renamed
