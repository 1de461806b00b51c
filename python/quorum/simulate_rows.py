"""What simulated events look like when they land: raw, personal, now and then repeated or broken."""

from __future__ import annotations

import math
from datetime import date

import duckdb
import numpy as np
import pyarrow as pa

from quorum.simulate_experiments import EXPERIMENT
from quorum.simulate_world import DAY, Shape

# The reasons for which broken rows belong in quarantine.
BROKEN = (
    "unparsable",
    "missing_tenant",
    "unknown_tenant",
    "missing_identity",
    "bad_timestamp",
    "future_timestamp",
)

PEOPLE = """
create table people as
select
    *,
    format('{}.{:05d}@example.com', replace(lower(strip_accents(name)), ' ', '.'), person) as email,
    format('+49 151 {:07d}', person) as phone,
    format('account-{}-{:04d}', tenant_id, number // 5) as account_id,
    format('{}.{:05d}@mail.example.com', replace(lower(strip_accents(name)), ' ', '.'), person) as later_email,
    md5(format('desktop {}', desktop))::uuid as desktop_id,
    md5(format('kiosk {}', tenant_id))::uuid as kiosk_id,
    md5(format('phone {}', person))::uuid as phone_id,
    -- Ranges reserved for benchmarks and documentation: nobody's real address.
    format('198.{}.{}.{}', 18 + person // 64516 % 2, person // 254 % 254, 1 + person % 254) as ipv4,
    format('2001:db8:{:x}:{:x}::{:x}', person // 100, person % 100, 4096 + person) as ipv6
from users
"""

# Who is seen in a row, as far as the row says.
SEEN = """
create view seen as
select
    *,
    case when known then case when renamed then later_email else email end end as user_id,
    case when on_kiosk then kiosk_id when on_phone and signed_in then phone_id else desktop_id end as anonymous_id
from landed
join people using (user)
"""

# Each row as it lands, personal data in all the places where products leak it. `dice` is read digit by digit.
RAW = """
create view raw as
with described as (
    select
        *,
        md5(format('{} {}', getvariable('seed'), row)) as hex,
        'tok_' || md5(format('token {} {}', getvariable('seed'), row)) as token
    from seen
)
select
    landing_day,
    received,
    row,
    defect,
    case defect when 'missing_tenant' then null when 'unknown_tenant' then 'ghost-000' else tenant_id end
        as tenant_id,
    hex as event_id,
    event_name,
    feature,
    case defect
        when 'bad_timestamp' then 'yesterday, about noon'
        when 'future_timestamp' then strftime(make_timestamp_ms(occurred), '2099-01-01T%H:%M:%S.%gZ')
        else strftime(make_timestamp_ms(occurred), '%Y-%m-%dT%H:%M:%S.%gZ')
    end as occurred_at,
    case defect
        when 'bad_timestamp' then 'soon after'
        else strftime(make_timestamp_ms(received), '%Y-%m-%dT%H:%M:%S.%gZ')
    end as received_at,
    case when defect is distinct from 'missing_identity' then user_id end as user_id,
    case when defect is distinct from 'missing_identity' then anonymous_id end as anonymous_id,
    account_id,
    md5(format('session {} {}', getvariable('seed'), session)) as session_id,
    'https://app.example.com' || case dice % 10
        when 0 then format('/invite?email={}&token={}', email, token)
        when 1 then format('/reset?token={}&next=%2Fhome', token)
        when 2 then format('/users/{}/profile?tab=2', email)
        when 3 then format('/accounts/{}/reports/{}?page=3', account_id, row)
        else format('/{}?utm_source=newsletter', coalesce(feature, event_name))
    end as url,
    case dice // 10 % 10
        when 0 then 'https://mail.example.org/read?to=' || replace(email, '@', '%40')
        when 1 then 'https://google.example.org/search?q=' || coalesce(feature, 'pricing')
        when 2 then 'https://www.linkedin.com/feed/update/' || account_id
        when 3 then 'https://blog.example.org/why-we-use-it'
    end as referrer,
    case when on_phone then ipv6 else ipv4 end as ip,
    case
        when is_declared then 'Mozilla/5.0 (compatible; ExampleCrawler/2.1; +https://crawler.example.org/about)'
        when not on_phone then 'Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0'
        when person % 2 = 0 then 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15'
        else 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/134.0.0.0 Mobile'
    end as user_agent,
    country,
    city,
    case when not on_phone then 'web' when person % 2 = 0 then 'ios' else 'android' end as platform,
    case when event_name in ('page_view', 'feature_used') then 200 + dice % 60000 end as duration_ms,
    case when event_name = 'purchase' then 500 + dice % 20000 end as value_minor,
    {
        -- now and then somebody tries another plan before buying
        plan: case when event_name = 'checkout' and dice // 800000 % 10 = 0 then 'team' else plan end,
        is_trial: person % 4 = 0,
        items: 1 + dice % 5,
        comment: case dice // 100 % 20
            when 0 then format('Please call {} on {}.', name, phone)
            when 1 then format('Write to {}, thanks!', email)
            when 2 then 'Works for me'
        end,
        contact: case when dice // 2000 % 20 = 0 then {email: email} end,
        seen_by: case when dice // 40000 % 20 = 0 then map {email: true} end,
        experiment: case when variant is not null then getvariable('experiment') end,
        variant: variant
    } as properties
from described
"""

LINES = """
create view lines as
select
    landing_day,
    received,
    row,
    case defect when 'unparsable' then left(line, length(line) // 2) else line end as line
from (
    select
        landing_day,
        received,
        row,
        defect,
        to_json(struct_pack(*columns(* exclude (landing_day, received, row, defect))))::text as line
    from raw
)
"""


def load_rows(connection: duckdb.DuckDBPyConnection, shape: Shape, users: pa.Table, landed: pa.Table) -> None:
    """Create the tables `people` and `landed`, and the views `seen`, `raw` and `lines` on them."""
    connection.register("users", users)
    connection.register("landing", landed)
    connection.execute("create table landed as from landing")
    connection.execute("set variable seed = ?", [shape.seed])
    connection.execute("set variable experiment = ?", [EXPERIMENT])
    for statement in (PEOPLE, SEEN, RAW, LINES):
        connection.execute(statement)


def land(shape: Shape, rng: np.random.Generator, events: pa.Table) -> pa.Table:
    """Repeat some events, in the same file or the next day's, and add broken copies of others as new rows."""
    count = len(events)
    some, few = (math.ceil(count / 200), math.ceil(count / 1000)) if shape.defects else (0, 0)
    kinds = np.array([None, "duplicate", *BROKEN])
    defect = kinds.repeat([count, some] + [few] * len(BROKEN))
    repeated = defect == "duplicate"
    row = np.arange(len(defect))
    source = np.concatenate([row[:count], rng.integers(0, count, len(row) - count)])
    day = events["received"].to_numpy()[source] // DAY + repeated * rng.integers(0, 2, len(row))
    last_day = (shape.last_day - date(1970, 1, 1)).days
    return (
        events.take(source)
        .append_column("row", [np.where(repeated, source, row)])
        .append_column("defect", pa.array(defect, pa.string()))
        .append_column("landing_day", [np.minimum(day, last_day).astype("datetime64[D]")])
    )
