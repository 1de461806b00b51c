with files as (

    select * from {{ source('landing', 'landing_files') }}
    where state = 'read'

),

queued as (

    select * from {{ source('landing', 'landing_rows') }}

),

in_work as (

    select * from {{ source('landing', 'landing_batch') }}

),

batch_rows as (

    select * from {{ ref('int_batch_rows') }}

),

-- in the queue for a later batch or a later night; rows that are only read again are counted where they were
waiting as (

    select queued.landing_file
    from queued
    left join in_work on queued.batch between in_work.first_batch and in_work.last_batch
    where not queued.is_again and in_work.batch_id is null

),

deferred_now as (

    select kept_back.landing_file
    from {{ ref('int_deferred') }} as kept_back
    inner join batch_rows
        on kept_back.landing_file = batch_rows.landing_file
        and kept_back.landing_row = batch_rows.landing_row

),

endings as (

    {%- for ending, relation in [
        ('accepted', ref('int_events')), ('duplicate', ref('int_duplicates')), ('quarantined', ref('int_quarantine')),
        ('deferred', 'waiting'), ('deferred', 'deferred_now')
    ] %}
    select
        landing_file,
        '{{ ending }}' as ending,
        count(*) as row_count
    from {{ relation }}
    group by landing_file
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

accounted as (

    select
        files.landing_file,
        files.source_format,
        files.integrity,
        files.rows_read,
    {%- for ending in ['accepted', 'duplicate', 'deferred', 'quarantined'] %}
    cast(coalesce(sum(endings.row_count) filter (where endings.ending = '{{ ending }}'), 0) as bigint) as {{ ending }}_rows
    {{- ',' if not loop.last }}
    {%- endfor %}
    from files
    left join endings on files.landing_file = endings.landing_file
    group by files.landing_file, files.source_format, files.integrity, files.rows_read

)

select * from accounted
