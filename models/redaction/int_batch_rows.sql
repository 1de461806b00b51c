with queued as (

    select * from {{ source('landing', 'landing_rows') }}

),

in_work as (

    select * from {{ source('landing', 'landing_batch') }}

),

-- a file that was written anew: all that it brought goes
replaced as (

    select * from {{ source('landing', 'landing_files') }}
    where state = 'replaced'

),

batch_rows as (

    select
        queued.landing_file,
        queued.landing_row
    from queued
    inner join in_work on queued.batch = in_work.batch
    union all
    select
        landing_file,
        {{ each_number_to('last_row') }} as landing_row
    from replaced

)

select * from batch_rows
