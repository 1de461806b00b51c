with days as (

    select calendar_date from {{ days_from('1990-01-01', '2100-12-31') }} as days

)

select * from days
