"""The state of each tenant's data, in a world of tenants most of which have something the matter."""

import json
from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from quorum import health, words
from quorum.settings import project_directory
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import event, registered
from tests.end_to_end.truth_health import health_days

DAY = timedelta(days=1)
SUNDAY = worlds.LAST_DAY
CLOSED = datetime.combine(SUNDAY, time(), UTC) + DAY
FIRST = SUNDAY - 62 * DAY  # a Monday
BUSY = 24  # events of a day
HEALTH = [path.stem for path in (project_directory() / "models" / "governance" / "health").glob("*.sql")]

# The tenant, its status, and of its error budget of one day how much is left.
EXPECTED = {
    "steady": ("ok", 1),
    "weekdays": ("ok", 1),
    "young": ("ok", 1),
    "late for a day": ("ok", 0),
    "another agreement": ("degraded", -11),
    "much refused": ("degraded", 1),
    "another type": ("degraded", 1),
    "a spike": ("anomalous", 1),
    "three days late": ("late", -27),
    "stopped": ("silent", 0),
    "long gone": ("silent", -21),
    "never came": ("silent", 1),
}


def sent(tenant: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a tenant, whenever they are received."""
    for day in (FIRST + DAY * number for number in range(63)):
        count = BUSY + day.toordinal() % 3
        late = timedelta(minutes=5)
        if tenant == "weekdays" and day.isoweekday() > 5:
            continue
        if tenant == "young" and (day < SUNDAY - 10 * DAY or day == SUNDAY - DAY):
            continue
        if (tenant == "stopped" and day > date(2026, 3, 27)) or (tenant == "long gone" and day > date(2026, 3, 6)):
            continue
        if tenant in ("three days late", "another agreement") or (tenant == "late for a day" and day.day == 10):
            late = 3 * DAY
        if tenant == "a spike" and day == SUNDAY:
            count *= 4
        for number in range(count):
            at = datetime.combine(day, time(8), UTC) + timedelta(minutes=7 * number)
            more: dict[str, Any] = {"received_at": (at + late).isoformat()}
            if tenant == "another type":
                more["properties"] = {"size": "large" if day > SUNDAY - 3 * DAY else 7}
            yield event(tenant, f"user {number % 5}", f"{day} {number}", at, **more)
            if tenant == "much refused" and day > SUNDAY - 7 * DAY and number < 4:
                yield event(tenant, "", f"nobody {day} {number}", at)
    if tenant == "steady":
        yield event(tenant, "user 0", f"{FIRST} 0", datetime.combine(FIRST, time(8), UTC))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A night over all that was received when it closed."""
    rules = [registered(tenant) for tenant in EXPECTED]
    rules.append(registered("another agreement", valid_from="2026-03-10", freshness_sla_hours="96"))
    workspace = worlds.registered(tmp_path_factory.mktemp("health"), rules)
    rows = (row for tenant in EXPECTED if tenant != "never came" for row in sent(tenant))
    worlds.land(workspace, "all.jsonl", (row for row in rows if datetime.fromisoformat(row["received_at"]) < CLOSED))
    worlds.build(workspace, only=HEALTH)
    return workspace


def test_each_day_is_what_the_raw_rows_say(workspace: Workspace) -> None:
    found = worlds.rows_by_tenant(workspace, "select * from gov_tenant_health_days order by all", "restricted")
    expected = health_days(workspace.root, SUNDAY)
    assert found == {tenant: [astuple(day) for day in days] for tenant, days in expected.items()}
    days = [day for days in expected.values() for day in days]
    assert {day.sla_state for day in days} == {"met", "late", "silent", "quiet", "pending"}
    assert {day.volume_state for day in days} == {"usual", "low", "high", "not_enough_data", "pending"}


def test_the_state_of_each_tenant(workspace: Workspace) -> None:
    query = "select tenant_key, status, days_left from gov_tenant_health"
    found = worlds.rows_by_tenant(workspace, query, "restricted")
    assert found == {tenant: [state] for tenant, state in EXPECTED.items()}


def test_the_worst_is_told_first(workspace: Workspace) -> None:
    tenants = health.of_tenants(workspace)
    order = [(health.STATUSES.index(tenant["status"]), tenant["days_left"]) for tenant in tenants]
    assert order == sorted(order)
    found = {"published": "r", "open": "here", "kept": [], "tenants": tenants}
    told = words.render("status", found).splitlines()
    assert "12 tenants: 3 silent, 1 late, 1 anomalous, 3 degraded, 4 ok" in told
    assert [line.split()[1] for line in told[-health.SHOWN :]] == [t["status"] for t in tenants[: health.SHOWN]]
    assert "-21 of 1 days" in told[-health.SHOWN]


def test_status_tells_all_of_each_tenant(simulated_night: Night) -> None:
    answer = worlds.quorum(simulated_night.workspace, "status", "--json")
    tenants = json.loads(answer.stdout)["tenants"]
    assert len(tenants) == 4
    assert all({"status", "freshness_hours", "days_left", "quarantined_share"} < tenant.keys() for tenant in tenants)
