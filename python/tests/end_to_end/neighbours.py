"""Users of whom worlds are made that differ in one of them."""

import csv
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from quorum.workspace import Workspace
from tests.end_to_end import worlds

Row = dict[str, Any]


class Unit(NamedTuple):
    """Whom the guarantee protects: a user of one tenant, or a device where no user is known."""

    tenant: str
    kind: str
    id: str

    @classmethod
    def of(cls, row: Row) -> "Unit | None":
        kind = "user_id" if row["user_id"] else "anonymous_id"
        return cls(row["tenant_id"], kind, row[kind].strip().lower()) if row["tenant_id"] and row[kind] else None


class Line(NamedTuple):
    file: str
    unit: Unit | None  # None for a row without one, which is quarantined
    text: str


def tenant(industry: str, number: int = 0) -> str:
    return f"{industry}-{number:02}"


def instant(week: date, day: int = 2, clock: time = time(12)) -> str:
    return datetime.combine(week + timedelta(days=day), clock).isoformat()


def user(home: str, name: str, week: date, features: Collection[str], **more: Any) -> Iterator[Row]:
    """Yield what a user does in its one week: a row for each feature, or one row that uses none."""
    for number, feature in enumerate(features or [None]):
        yield {
            "tenant_id": home,
            "event_id": f"{name} {number}",
            "event_name": "feature_used",
            "feature": feature,
            "occurred_at": instant(week),
            "received_at": instant(week),
            "user_id": f"{name} {week}",
            "anonymous_id": None,
            **more,
        }


def register(workspace: Workspace, tenants: Iterable[str], twins: Collection[str] = ()) -> None:
    """Add tenants to the registry, an atom per industry, and `*` for those on no list; twins have one owner."""
    with (workspace.registry / "tenants.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in [*tenants, "*"]:
        rows.append(
            {
                **rows[0],
                "tenant_id": name,
                "valid_from": "2020-01-01",
                "industry": "unknown" if name == "*" else name.split("-")[0],
                "size_band": "small",
                "owner_group": "twins" if name in twins else "",
                "benchmark_consent": "true",
                "publish_bundle": "false",
            }
        )
    worlds.registered(workspace.root, rows)
