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

    select landing_file
    from queued
    where not is_again and batch not in (select batch from in_work)

),

deferred_now as (

    select deferred.landing_file
    from {{ ref('int_deferred') }} as deferred
    inner join batch_rows
        on deferred.landing_file = batch_rows.landing_file
        and deferred.landing_row = batch_rows.landing_row

),

endings as (

    {%- for ending, relation in {
        'accepted': ref('int_events'), 'duplicate': ref('int_duplicates'), 'quarantined': ref('int_quarantine'),
        'deferred': 'waiting', 'deferred ': 'deferred_now'
    }.items() %}
    select
        landing_file,
        '{{ ending | trim }}' as ending,
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
