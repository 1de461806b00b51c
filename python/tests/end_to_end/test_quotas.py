"""Quotas: what is beyond one waits in the queue, for as many nights as it takes, and is counted all the time."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import nightly, release
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import event, registered

NOON = worlds.noon(worlds.LAST_DAY)
BY_USER = """
select user_id, count(*)
from int_events_landed inner join int_deferred using (landing_file, landing_row)
group by user_id
"""


def sent(user: str, count: int, tenant: str = "acme", first: datetime = NOON) -> list[dict[str, Any]]:
    return [event(tenant, user, f"{user}{n:05}", first + timedelta(seconds=n)) for n in range(count)]


def world(root: Path, **quotas: str) -> Workspace:
    """Register a tenant with quotas, one that has them and does not consent to benchmarks, and one without."""
    limited = {"daily_user_quota": "", **quotas}
    return worlds.registered(
        root,
        [
            registered("acme", **limited),
            registered("hooli", benchmark_consent="false", **limited),
            registered("globex", daily_user_quota=""),
        ],
    )


def deferred(workspace: Workspace) -> Counter[str]:
    """Return how many rows of each user the night's last batch deferred."""
    return Counter(dict(worlds.fetch(workspace, "restricted", BY_USER)))


def endings(report: nightly.Report) -> tuple[int, int]:
    assert report.rows["read"] == sum(
        report.rows[ending] for ending in ("accepted", "duplicate", "deferred", "quarantined")
    )
    return report.rows["accepted"], report.rows["deferred"]


def night(workspace: Workspace, number: int) -> nightly.Report:
    return worlds.answer(workspace, worlds.LAST_DAY + timedelta(days=number))


def taken_in(workspace: Workspace, number: int) -> tuple[nightly.Report, list[release.Due]]:
    """Do a night as far as its quotas decide: return what came in, and what the night would go on to answer."""
    night = worlds.begun(workspace, worlds.LAST_DAY + timedelta(days=number))
    night.count_rows()
    return night.report, night._due()


def test_a_flood_of_one_user_defers_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flood comes first, over several batches, and is worked off by a quota a day."""
    monkeypatch.setenv("QUORUM_BATCH_ROWS", "70")
    workspace = world(tmp_path, daily_user_quota="50")
    worlds.land(workspace, "1.jsonl", sent("flood", 70))
    worlds.land(workspace, "2.jsonl", [*sent("flood", 20), *sent("calm", 50), *sent("other", 20, "globex")])
    first, due = taken_in(workspace, 0)
    assert endings(first) == (50 + 50 + 20, 40)
    assert worlds.fetch(
        workspace, "restricted", "select quota, holds_answers, count(*) from int_deferred group by all"
    ) == [("user", False, 40)]
    assert due, "a user's own quota holds no answer"
    assert not first.waiting
    assert endings(worlds.ingest(workspace)) == (120, 40), "the same day admits no more"
    second = worlds.ingest(workspace, worlds.LAST_DAY + timedelta(days=1))
    # twenty of the flood were sent twice, and are duplicates when their turn comes
    assert (second.rows["accepted"], second.rows["duplicate"], second.rows["deferred"]) == (70 + 50 + 20, 20, 0)
    assert worlds.fetch(workspace, "restricted", "from landing_rows") == []
    assert worlds.fetch(workspace, "restricted", "from int_deferred") == []


# who looks back does so at the days before a period, and no earlier period waits for a later day
RELEASES = ("engagement", "feature_usage", "funnel_conversion", "retention", "time_to_value")


def test_a_users_quota_looks_at_no_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which rows of a user pass is the same whoever else is in the files, and wherever a batch ends."""
    monkeypatch.setenv("QUORUM_BATCH_ROWS", "40")
    workspace = world(tmp_path, daily_user_quota="25")
    others = {"acme": 0, "hooli": 17}
    for tenant, count in others.items():
        for file in range(2):
            rows = sent(f"v{file}", count, tenant) + sent("u", 45, tenant)[file::2]
            worlds.land(workspace, f"{tenant} {file}.jsonl", rows)
    worlds.ingest(workspace)
    found = worlds.rows_by_tenant(workspace, "select tenant_key, unit_key, occurred_at from int_events order by all")
    taken = {}
    for tenant in others:
        units = Counter(unit for unit, _ in found[tenant])
        [(user, count)] = units.most_common(1)
        assert (count, len(units)) == (25, 1 + 2 * bool(others[tenant]))
        taken[tenant] = [instant for unit, instant in found[tenant] if unit == user]
    assert taken["acme"] == taken["hooli"]


def test_a_tenants_quota_goes_round_its_users_and_holds_answers(tmp_path: Path) -> None:
    """Those of the weeks in which its rows wait; where the tenant does not consent, none.

    One that waits keeps its place in the budget: who finds no room beside it would find none if it did not wait.
    """
    workspace = world(tmp_path, daily_event_quota="60")
    workspace.policy.mkdir(exist_ok=True)
    (workspace.policy / "budgets.csv").write_text("population,time_window,rho\nproduct_users,week,0.048\n")
    old = NOON - timedelta(weeks=8)
    flood = [*sent("flood", 70), *(event("acme", "flood", f"old{n:05}", old) for n in range(30))]
    worlds.land(workspace, "1.jsonl", [*flood, *sent("calm", 20), *sent("other", 5, "globex")])
    worlds.land(workspace, "2.jsonl", sent("refuses", 100, "hooli", NOON - timedelta(weeks=1)))
    first = night(workspace, 0)
    assert endings(first) == (60 + 5 + 60, 60 + 40)
    assert deferred(workspace) == {"flood": 60, "refuses": 40}, "who sent most waits"
    week = (NOON - timedelta(days=NOON.weekday())).date()
    earlier = [week - timedelta(weeks=back) for back in (3, 2, 1)]
    looking_back = [f"retention {start}" for start in earlier]  # eight weeks; time to value looks back at four
    assert sorted(first.waiting) == sorted([*(f"{name} {week}" for name in RELEASES), *looking_back])
    assert {outcome.due.start for outcome in first.outcomes} == {*earlier}
    refused = [f"{each.due.spec.name} {each.due.start}" for each in first.outcomes if each.refusal]
    assert refused == [f"time_to_value {start}" for start in earlier], "though its rho would fit while others wait"
    second, due = taken_in(workspace, 1)
    assert endings(second) == (225, 0)
    assert sorted(f"{each.spec.name} {each.start}" for each in due) == sorted([*first.waiting, *refused])
    assert second.waiting == []


@pytest.mark.soak
def test_a_unit_that_a_tenants_quota_held_up_holds_answers_until_its_turn(tmp_path: Path) -> None:
    """On the second night no tenant is over its quota, but who is left is later than by its own rows alone."""
    workspace = world(tmp_path, daily_event_quota="50", daily_user_quota="40")
    worlds.land(workspace, "1.jsonl", [*sent("flood", 90), *sent("calm", 20)])
    held = "select quota, holds_answers, count(*) from int_deferred group by all order by all"
    assert endings(night(workspace, 0)) == (50, 60)
    assert worlds.fetch(workspace, "restricted", held) == [("tenant", True, 10), ("user", True, 50)]
    second = night(workspace, 1)
    assert worlds.fetch(workspace, "restricted", held) == [("user", True, 20)]
    assert second.waiting
    third = night(workspace, 2)
    assert endings(third) == (110, 0)
    assert third.waiting == []
