select
    tenant_key,
    {{ sha256_text(sorted_text("concat_ws(' ', valid_from_at, valid_to_at, timezone, week_start, session_timeout_minutes)")) }} as rules_digest
from {{ ref('dim_tenants') }}
group by tenant_key
