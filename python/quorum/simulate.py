"""Raw product events of a small multi-tenant SaaS, and the truth about them: the work of `quorum simulate`.

The same shape gives the same bytes, on any number of threads.
"""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

from quorum.errors import BadInput
from quorum.simulate_activity import FEATURES, draw_events
from quorum.simulate_rows import BROKEN, land, load_rows
from quorum.simulate_world import Shape, Tenant, deal_tenants, describe_users, register_users

__all__ = ["Shape", "Truth", "simulate"]

# Every feature in every week in which the tenant had anybody active; the week starts on Monday, in UTC.
WEEKLY_ADOPTION = """
with facts as (
    select date_trunc('week', make_timestamp_ms(occurred))::date as week_start, tenant_id, feature, user
    from landed
    join people using (user)
    where defect is null
),
active as (
    select week_start, tenant_id, count(distinct user) as active_users
    from facts
    group by all
),
adopted as (
    select week_start, tenant_id, feature, count(distinct user) as adopters
    from facts
    group by all
)
select week_start, tenant_id, feature, coalesce(adopters, 0) as adopters, active_users
from active
cross join (select unnest($features::text[]) as feature)
left join adopted using (week_start, tenant_id, feature)
order by all
"""

TENANT_DAILY = """
select
    tenant_id,
    (make_timestamp_ms(occurred) at time zone 'UTC' at time zone timezone)::date as local_date,
    count(distinct user) as active_users,
    count(*) as events
from landed
join people using (user)
where defect is null
group by all
order by all
"""

LATE_AND_USERS = """
select count(*) filter (received - occurred >= 86400000), count(distinct user)
from landed
where defect is null
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
    users: int  # with an accepted row
    paths: tuple[Path, ...]  # the landing files


def simulate(workspace: Path, shape: Shape) -> Truth:
    """Write the registry, a landing file for each day, and into `truth/` what should come out of them."""
    registry = workspace / "registry" / "tenants.csv"
    days = [shape.first_day + timedelta(days=day) for day in range(shape.days)]
    paths = {day: workspace / "landing" / "quorum" / f"{day}.jsonl.gz" for day in days}
    for path in (registry, *paths.values()):
        if path.exists():
            raise BadInput(f"{path} exists already: simulate into a fresh workspace")

    rng = np.random.default_rng(shape.seed)
    tenants = deal_tenants(shape)
    users = register_users(shape, rng)
    events = draw_events(shape, rng, tenants, users)
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")  # it would go to stdout
        load_rows(connection, shape, describe_users(users, tenants), land(shape, rng, events))
        truth = _count(connection, shape, tuple(paths.values()))
        _write_registry(registry, tenants)
        _write_truth(connection, workspace / "truth", truth)
        _write_landing(connection, paths)
    return truth


def _count(connection: duckdb.DuckDBPyConnection, shape: Shape, paths: tuple[Path, ...]) -> Truth:
    rows = dict(connection.execute("select defect, count(*) from landed group by all").fetchall())
    [(late, users)] = connection.execute(LATE_AND_USERS).fetchall()
    return Truth(
        rows=sum(rows.values()),
        accepted=rows.get(None, 0),
        duplicates=rows.get("duplicate", 0),
        broken={reason: rows.get(reason, 0) for reason in BROKEN},
        late=late,
        tenants=shape.tenants,
        users=users,
        paths=paths,
    )


def _write_registry(path: Path, tenants: list[Tenant]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(tenants[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(tenants)


def _write_truth(connection: duckdb.DuckDBPyConnection, folder: Path, truth: Truth) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    counts = asdict(truth)
    del counts["paths"]
    (folder / "rows.json").write_text(json.dumps(counts, indent=2) + "\n")
    weekly = connection.sql(WEEKLY_ADOPTION, params={"features": list(FEATURES)})
    weekly.write_csv(str(folder / "weekly_adoption.csv"))
    connection.sql(TENANT_DAILY).write_csv(str(folder / "tenant_daily.csv"))
    connection.sql(CANARIES).write_csv(str(folder / "canaries.csv"))


def _write_landing(connection: duckdb.DuckDBPyConnection, paths: dict[date, Path]) -> None:
    for day, path in paths.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Rows that are equal in both keys are duplicates: one line, whatever their order.
        connection.execute("select line from lines where landing_day = ? order by received, row", [day])
        text = "".join(f"{line}\n" for (line,) in connection.fetchall())
        path.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
