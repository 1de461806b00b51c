-- Every component has a weight, and a line between two ends.
select sum(weight) as total
from {{ ref('account_health_weights') }}
having sum(weight) <> 100 or count(*) <> 5 or min(abs(full_score_at - no_score_at)) = 0
