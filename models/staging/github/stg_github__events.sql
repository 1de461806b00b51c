with source as (

    {{ landed('github', {
        'id': '$.id',
        'type': '$.type',
        'actor_login': '$.actor.login',
        'repo_name': '$.repo.name',
        'created_at': '$.created_at',
        'payload': '$.payload'
    }) }}

),

renamed as (

    {{ event_contract('source', {
        'tenant_id': "nullif(split_part(repo_name, '/', 1), '')",
        'event_id': 'id',
        'user_id': 'actor_login',
        'account_id': 'repo_name',
        'event_name': 'type',
        'feature': 'type',
        'properties': 'payload',
        'occurred_at': utc_timestamp('created_at')
    }) }}

)

select * from renamed
