with queued as (

    select * from {{ source('landing', 'landing_work') }}

),

-- a file that was written anew: all that it brought goes
replaced as (

    select * from {{ source('landing', 'landing_files') }}
    where state = 'replaced'

),

batch_rows as (

    select
        landing_file,
        landing_row
    from queued
    union all
    select
        landing_file,
        {{ each_number_to('last_row') }} as landing_row
    from replaced

)

select * from batch_rows
