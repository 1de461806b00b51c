with files as (

    select * from {{ source('landing', 'landing_files') }}
    where state in ('loaded', 'committed')

),

accepted as (

    select
        landing_file,
        count(*) as row_count
    from {{ ref('int_events') }}
    group by landing_file

),

duplicate as (

    select
        landing_file,
        count(*) as row_count
    from {{ ref('int_duplicates') }}
    group by landing_file

),

quarantined as (

    select
        landing_file,
        count(*) as row_count
    from {{ ref('int_quarantine') }}
    group by landing_file

),

accounted as (

    select
        files.landing_file,
        files.source_format,
        files.rows_read,
        coalesce(accepted.row_count, 0) as accepted_rows,
        coalesce(duplicate.row_count, 0) as duplicate_rows,
        coalesce(quarantined.row_count, 0) as quarantined_rows
    from files
    left join accepted on files.landing_file = accepted.landing_file
    left join duplicate on files.landing_file = duplicate.landing_file
    left join quarantined on files.landing_file = quarantined.landing_file

)

select * from accounted
