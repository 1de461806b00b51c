"""Quotas: what is beyond one waits in the queue, for as many nights as it takes, and is counted all the time."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import nightly
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import event, registered

NOON = worlds.noon(worlds.LAST_DAY)
BY_USER = """
select user_id, count(*)
from int_events_landed inner join int_deferred using (landing_file, landing_row)
group by user_id
"""
ACCEPTED = "select tenant_key, event_key from int_events order by all"


def sent(user: str, count: int, tenant: str = "acme") -> list[dict[str, Any]]:
    return [event(tenant, user, f"{user}{n:05}", NOON + timedelta(seconds=n)) for n in range(count)]


def world(root: Path, **quotas: str) -> Workspace:
    acme = registered("acme", daily_user_quota="", benchmark_consent="true") | quotas
    return worlds.registered(root, [acme, registered("globex", daily_user_quota="")])


def deferred(workspace: Workspace) -> Counter[str]:
    """Return how many rows of each user the night's last batch deferred."""
    return Counter(dict(worlds.fetch(workspace, "restricted", BY_USER)))


def endings(report: nightly.Report) -> tuple[int, int]:
    assert report.rows["read"] == sum(
        report.rows[ending] for ending in ("accepted", "duplicate", "deferred", "quarantined")
    )
    return report.rows["accepted"], report.rows["deferred"]


def night(workspace: Workspace, number: int) -> nightly.Report:
    return worlds.run(workspace, worlds.LAST_DAY + timedelta(days=number))


def test_a_flood_of_one_user_defers_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flood comes first, over several batches, and is worked off by a quota a day."""
    monkeypatch.setenv("QUORUM_BATCH_ROWS", "70")
    workspace = world(tmp_path, daily_user_quota="50")
    worlds.land(workspace, "1.jsonl", sent("flood", 70))
    worlds.land(workspace, "2.jsonl", [*sent("flood", 20), *sent("calm", 50), *sent("other", 20, "globex")])
    first = night(workspace, 0)
    assert endings(first) == (50 + 50 + 20, 40)
    assert worlds.fetch(
        workspace, "restricted", "select quota, holds_answers, count(*) from int_deferred group by all"
    ) == [("user", False, 40)]
    assert first.outcomes, "a user's own quota holds no answer"
    again = night(workspace, 0)
    assert endings(again) == (120, 40), "the same day admits no more"
    assert again.published is None
    second = night(workspace, 1)
    # twenty of the flood were sent twice, and are duplicates when their turn comes
    assert (second.rows["accepted"], second.rows["duplicate"], second.rows["deferred"]) == (70 + 50 + 20, 20, 0)
    assert worlds.fetch(workspace, "restricted", "from landing_rows") == []
    assert worlds.fetch(workspace, "restricted", "from int_deferred") == []


def test_a_users_quota_looks_at_no_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which rows of a user pass is the same whoever else is in the files, and wherever a batch ends."""
    monkeypatch.setenv("QUORUM_BATCH_ROWS", "40")
    taken = []
    for others in (0, 17):
        workspace = world(tmp_path / str(others), daily_user_quota="25")
        for file in range(2):
            worlds.land(workspace, f"{file}.jsonl", sent(f"v{file}", others) + sent("u", 45)[file::2])
        worlds.build(workspace)
        [(unit,)] = worlds.fetch(
            workspace, "tenant", "select unit_key from int_events group by all order by count(*) desc limit 1"
        )
        query = "select occurred_at from int_events where unit_key = ? order by all"
        taken.append(worlds.fetch(workspace, "tenant", query, [unit]))
    assert taken[0] == taken[1]
    assert len(taken[0]) == 25


def test_a_tenants_quota_goes_round_its_users_and_holds_answers(tmp_path: Path) -> None:
    workspace = world(tmp_path, daily_event_quota="60")
    worlds.land(workspace, "1.jsonl", [*sent("flood", 100), *sent("calm", 20), *sent("other", 5, "globex")])
    first = night(workspace, 0)
    assert endings(first) == (60 + 5, 60)
    assert deferred(workspace) == {"flood": 60}, "who sent most waits"
    week = (NOON - timedelta(days=NOON.weekday())).date()
    assert first.waiting == [f"feature_usage {week}"]
    assert not [outcome for outcome in first.outcomes if outcome.due.start == week]
    second = night(workspace, 1)
    assert endings(second) == (125, 0)
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


def test_no_quota_of_a_tenant_without_consent_holds_answers(tmp_path: Path) -> None:
    workspace = world(tmp_path, daily_event_quota="60", benchmark_consent="false")
    worlds.land(workspace, "1.jsonl", sent("flood", 100))
    first = night(workspace, 0)
    assert endings(first) == (60, 40)
    assert first.waiting == []
