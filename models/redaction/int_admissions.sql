{%- set earlier = built('int_admissions') -%}

with admitted as (

    select * from {{ ref('int_events_admitted') }}

),

read_again as (

    select
        landing_file,
        landing_row
    from {{ source('landing', 'landing_work') }}
    where is_again

),

run as (

    select as_of from {{ source('control', 'run_control') }}

),

in_work as (

    select batch_id from {{ source('landing', 'landing_batch') }}

),

counted as (

    select
        run.as_of,
        in_work.batch_id,
        admitted.tenant_key,
        admitted.unit_key,
        count(*) as row_count
    from admitted
    cross join run
    cross join in_work
    where
        not exists (
            select 1 from read_again
            where read_again.landing_file = admitted.landing_file and read_again.landing_row = admitted.landing_row
        )
    group by run.as_of, in_work.batch_id, admitted.tenant_key, admitted.unit_key

),

of_this_night as (

    select * from counted
    {%- if earlier %}
    union all
    select
        as_of,
        batch_id,
        tenant_key,
        unit_key,
        row_count
    from {{ earlier }}
    where as_of in (select as_of from run) and batch_id not in (select batch_id from in_work)
    {%- endif %}

)

select * from of_this_night
