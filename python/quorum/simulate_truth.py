"""The truth about a simulated world, written beside it: what should come of its rows, by the rules and the registry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from quorum.simulate_activity import FEATURES
from quorum.simulate_identity import persons
from quorum.simulate_registry import Tables
from quorum.simulate_rows import BROKEN

# What of the registry decides which events and days count, by table.
RULES = {
    "tenants": ("tenant_id", "valid_from", "timezone", "bot_daily_events"),
    "internal_users": ("tenant_id", "valid_from", "user_id", "anonymous_id", "listed_as"),
    "active_events": ("tenant_id", "valid_from", "event_name"),
}

# What was accepted, under the version of the tenant's rules that held then; the first covers what came before it.
FACTS = """
create table facts as
with dated as (
    select
        *,
        valid_from::timestamp at time zone timezone at time zone 'UTC' as starts_at,
        row_number() over (partition by tenant_id order by valid_from) = 1 as is_first
    from tenants
),
versions as (
    select
        tenant_id,
        timezone,
        bot_daily_events::integer as bot_daily_events,
        case when is_first then '-infinity' else starts_at end as valid_from_at,
        lead(starts_at, 1, 'infinity') over (partition by tenant_id order by valid_from) as valid_to_at
    from dated
)
select
    seen.tenant_id,
    seen.user,
    user_id,
    anonymous_id,
    coalesce(user_id, anonymous_id::text) as unit,
    event_name,
    feature,
    date_trunc('week', make_timestamp_ms(occurred))::date as week_start,
    (make_timestamp_ms(occurred) at time zone 'UTC' at time zone timezone)::date as local_date,
    received - occurred >= 86400000 as is_late,
    is_declared,
    bot_daily_events
from seen
join versions
    on seen.tenant_id = versions.tenant_id
    and make_timestamp_ms(occurred) >= valid_from_at
    and make_timestamp_ms(occurred) < valid_to_at
where defect is null
"""

# Every feature in every week in which the tenant had anybody active; the week starts on Monday, in UTC.
WEEKLY_ADOPTION = """
with active as (
    select week_start, tenant_id, count(distinct unit) as active_users
    from facts
    group by all
),
adopted as (
    select week_start, tenant_id, feature, count(distinct unit) as adopters
    from facts
    group by all
)
select week_start, tenant_id, feature, coalesce(adopters, 0) as adopters, active_users
from active
cross join (select unnest($features::text[]) as feature)
left join adopted using (week_start, tenant_id, feature)
order by all
"""

# Persons who did what counts as activity, and are neither listed by the operator nor busy as no human is.
TENANT_DAILY = """
with days as (
    select tenant_id, unit, local_date, event_name, is_declared, bot_daily_events, count(*) as events
    from facts
    group by all
),
definitions as (
    select distinct tenant_id, valid_from::date as valid_from
    from active_events
),
defined as (
    select days.*, coalesce(max(valid_from) filter (valid_from <= local_date), min(valid_from)) as valid_from
    from days
    left join definitions using (tenant_id)
    group by all
),
judged as (
    select
        defined.*,
        definition.event_name is not null or defined.valid_from is null as is_activity,
        listed.listed_as is not null as is_listed
    from defined
    left join active_events as definition
        on defined.tenant_id = definition.tenant_id
        and defined.valid_from = definition.valid_from::date
        and defined.event_name = definition.event_name
    left join internal_users as listed
        on defined.tenant_id = listed.tenant_id
        and defined.unit = coalesce(nullif(listed.user_id, ''), listed.anonymous_id)
        and defined.local_date >= listed.valid_from::date
),
person_days as (
    select
        judged.tenant_id,
        local_date,
        person,
        sum(events) as events,
        bool_or(is_activity) as is_active,
        bool_or(is_listed or is_declared) or sum(events) > max(bot_daily_events) as is_excluded
    from judged
    join persons on judged.tenant_id = persons.tenant_id and judged.unit = persons.identifier
    group by all
)
select
    tenant_id,
    local_date,
    count(*) filter (is_active and not is_excluded) as active_users,
    coalesce(sum(events) filter (not is_excluded), 0) as events,
    coalesce(sum(events) filter (is_excluded), 0) as excluded_events
from person_days
group by all
order by all
"""

# Whose a user id or a device is: `human` by the simulator, where it is one; `person` by the rules, for all that has
# come. A shared device is a person of its own here.
PEOPLE = """
with shown as (
    select distinct tenant_id, user, unnest([user_id, anonymous_id::text]) as identifier
    from facts
),
humans as (
    select tenant_id, identifier, case when count(*) = 1 then any_value(person) end as human
    from shown
    join people using (tenant_id, user)
    group by all
)
select tenant_id, kind, identifier, human, persons.person
from persons
join humans using (tenant_id, identifier)
order by all
"""

# Values as they stand in accepted rows, a sample of each kind.
CANARIES = r"""
with planted as (
    select
        unnest([
            {kind: 'email', value: user_id},
            {kind: 'encoded_email', value: nullif(regexp_extract(referrer, 'to=(.+)$', 1), '')},
            {kind: 'device', value: anonymous_id::text},
            {kind: 'ip', value: ip},
            {kind: 'name', value: nullif(regexp_extract(properties.comment, 'call (.+) on', 1), '')},
            {kind: 'phone', value: nullif(regexp_extract(properties.comment, 'on (.+)\.$', 1), '')},
            {kind: 'token', value: nullif(regexp_extract(url, 'token=(\w+)', 1), '')}
        ], recursive := true)
    from raw
    where defect is null
)
select kind, value
from planted
where value is not null
group by kind, value
qualify row_number() over (partition by kind order by md5(value)) <= 60
order by all
"""


@dataclass(frozen=True)
class Truth:
    """What was written: every row is accepted, a duplicate or broken; late rows are among the accepted."""

    rows: int
    accepted: int
    duplicates: int
    broken: dict[str, int]  # by reason
    late: int  # received a day or more after they happened
    tenants: int
    users: int  # seen in an accepted row: user ids, and devices where no user id is
    persons: int  # behind all user ids and devices, by the rules of identity
    paths: tuple[Path, ...]  # the landing files


def write_truth(
    connection: duckdb.DuckDBPyConnection, folder: Path, registry: Tables, paths: tuple[Path, ...]
) -> Truth:
    """Write files that say what should come of the rows, and return their counts."""
    for name, columns in RULES.items():
        rows = registry[name]
        connection.register(
            name, pa.table({each: pa.array([row[each] for row in rows], pa.string()) for each in columns})
        )
    connection.execute(FACTS)
    _resolve(connection)
    truth = _count(connection, paths)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    counts = asdict(truth)
    del counts["paths"]
    (folder / "rows.json").write_text(json.dumps(counts, indent=2) + "\n")
    weekly = connection.sql(WEEKLY_ADOPTION, params={"features": list(FEATURES)})
    weekly.write_csv(str(folder / "weekly_adoption.csv"))
    connection.sql(TENANT_DAILY).write_csv(str(folder / "tenant_daily.csv"))
    connection.sql(PEOPLE).write_csv(str(folder / "people.csv"))
    connection.sql(CANARIES).write_csv(str(folder / "canaries.csv"))
    return truth


def _resolve(connection: duckdb.DuckDBPyConnection) -> None:
    seen = connection.execute("select distinct tenant_id, user_id, anonymous_id::text from facts").fetchall()
    found = [(*unit, person) for unit, person in persons(seen).items()]
    columns = zip(("tenant_id", "kind", "identifier", "person"), zip(*found, strict=True), strict=True)
    connection.register("persons", pa.table(dict(columns)))


def _count(connection: duckdb.DuckDBPyConnection, paths: tuple[Path, ...]) -> Truth:
    rows = dict(connection.execute("select defect, count(*) from landed group by all").fetchall())
    [(late, tenants, users, persons)] = connection.execute(
        """
        select
            count(*) filter (is_late),
            (select count(distinct tenant_id) from tenants),
            count(distinct (tenant_id, unit)),
            (select count(distinct person) from persons)
        from facts
        """
    ).fetchall()
    return Truth(
        rows=sum(rows.values()),
        accepted=rows.get(None, 0),
        duplicates=rows.get("duplicate", 0),
        broken={reason: rows.get(reason, 0) for reason in BROKEN},
        late=late,
        tenants=tenants,
        users=users,
        persons=persons,
        paths=paths,
    )
