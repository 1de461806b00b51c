select landing_file
from {{ source('landing', 'landing_files') }}
where state = 'loaded'
