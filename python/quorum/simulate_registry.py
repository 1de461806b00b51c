"""What the operators of a simulated world declare: the registry, written down as ``quorum run`` reads it."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import duckdb

from quorum.simulate_experiments import EXPERIMENT, VARIANTS, experiment_starts, has_experiment
from quorum.simulate_robots import events_per_hour
from quorum.simulate_world import EVENT_NAMES, TIMEZONES, Shape, Tenant

Row = dict[str, str]
Tables = dict[str, list[Row]]

# funnel, sequence, hours, grain, property that stays the same; and its steps: name, event, feature
FUNNELS = {
    ("joining", "ordered", "168", "user", ""): (
        ("sign up", "signup", ""),
        ("be shown around", "onboarding_step", ""),
        ("check out", "checkout", ""),
        ("buy", "purchase", ""),
    ),
    ("buying at once", "strict", "1", "user", ""): (
        ("check out", "checkout", ""),
        ("buy", "purchase", ""),
    ),
    ("buying on one plan", "ordered", "336", "user", "plan"): (
        ("check out", "checkout", ""),
        ("buy", "purchase", ""),
    ),
    ("looking around", "any", "72", "user", ""): (
        ("search", "feature_used", "search"),
        ("look at the dashboard", "feature_used", "dashboard"),
        ("view a page", "page_view", ""),
    ),
    ("an account buys", "ordered", "720", "account", ""): (
        ("invite", "feature_used", "invite"),
        ("check out", "checkout", ""),
        ("buy", "purchase", ""),
    ),
}

# Two employees of each larger tenant, one of them since the middle of the time, and somebody who only tests.
INTERNAL_USERS = """
select
    tenant_id,
    case number when 2 then $middle else $start end as valid_from,
    case when signed_in then email end as user_id,
    case when not signed_in then desktop_id end as anonymous_id,
    case number when 6 then 'test' else 'internal' end as listed_as
from people
where is_larger and number in (1, 2, 6)
order by all
"""


def versions(shape: Shape, tenants: list[Tenant]) -> list[Tenant]:
    """List the rows of tenants.csv: all tenants first, then the later versions of some."""
    later = []
    for rank, tenant in enumerate(tenants):
        zones = TIMEZONES[tenant["region"]]
        if rank % 12 == 2:
            other = zones[(zones.index(tenant["timezone"]) + 1) % len(zones)]
            later.append(tenant | {"valid_from": str(shape.middle), "timezone": other})
        elif rank % 12 == 4:
            later.append(tenant | {"valid_from": str(shape.middle), "session_timeout_minutes": "45"})
    threshold = {"bot_daily_events": str(20 * events_per_hour(shape))}
    return [tenant | threshold for tenant in (*tenants, *later)]


def declared(connection: duckdb.DuckDBPyConnection, shape: Shape, tenants: list[Tenant]) -> Tables:
    """Return the tables of the registry by name."""
    dates = {"start": tenants[0]["valid_from"], "middle": str(shape.middle)}
    return {
        "tenants": versions(shape, tenants),
        "internal_users": _texts(connection.execute(INTERNAL_USERS, dates)),
        "active_events": list(_active_events(shape, tenants)),
        "funnels": list(_funnels(tenants)),
        "conversions": [{"tenant_id": "*", "conversion": "purchase", "event_name": "purchase", "lookback_days": "30"}],
        **_experiments(shape, tenants),
    }


def _texts(found: duckdb.DuckDBPyConnection) -> list[Row]:
    columns = [column for column, *_ in found.description]
    return [
        {column: "" if value is None else str(value) for column, value in zip(columns, row, strict=True)}
        for row in found.fetchall()
    ]


def _active_events(shape: Shape, tenants: list[Tenant]) -> Iterable[Row]:
    """To view a page is no activity: for some tenants at all, for some from a day on."""
    for rank, tenant in enumerate(tenants):
        starts = [] if rank % 3 != 1 else [(tenant["valid_from"], rank % 6 == 1), (str(shape.middle), False)]
        for valid_from, viewing_counts in starts:
            for name in EVENT_NAMES if viewing_counts else EVENT_NAMES[1:]:
                yield {"tenant_id": tenant["tenant_id"], "valid_from": valid_from, "event_name": name}


def _funnels(tenants: list[Tenant]) -> Iterable[Row]:
    """All tenants have all funnels, but for one that declared a single funnel of its own."""
    first = dict(list(FUNNELS.items())[:1])
    for tenant_id, funnels in {"*": FUNNELS, tenants[-1]["tenant_id"]: first}.items():
        for (funnel, sequence, hours, grain, held), steps in funnels.items():
            for number, (step_name, event_name, feature) in enumerate(steps, start=1):
                yield {
                    "tenant_id": tenant_id,
                    "funnel": funnel,
                    "sequence": sequence,
                    "window_hours": hours,
                    "grain": grain,
                    "held_property": held,
                    "step": str(number),
                    "step_name": step_name,
                    "event_name": event_name,
                    "feature": feature,
                }


def _experiments(shape: Shape, tenants: list[Tenant]) -> Tables:
    running = [tenant["tenant_id"] for rank, tenant in enumerate(tenants) if has_experiment(rank)]
    experiment = {
        "experiment": EXPERIMENT,
        "exposure_event": "page_view",
        "experiment_property": "experiment",
        "variant_property": "variant",
        "control": "control",
        "metric_event": "purchase",
        "starts_on": str(experiment_starts(shape)),
        "ends_on": str(shape.last_day),
        "min_sample": "20",
        "min_days": "14",
    }
    return {
        "experiments": [{"tenant_id": tenant_id, **experiment} for tenant_id in running],
        "experiment_variants": [
            {"tenant_id": tenant_id, "experiment": EXPERIMENT, "variant": variant, "weight": "1"}
            for tenant_id in running
            for variant in VARIANTS
        ],
    }


def write_registry(folder: Path, tables: Tables) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        if not rows:
            continue
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
