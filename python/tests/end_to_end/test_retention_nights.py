"""Retention, night by night: rows and fields go when their time has come, and not before."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import forgetting, nightly
from quorum.errors import Refused
from quorum.workspace import Workspace
from tests.end_to_end import erasures, worlds
from tests.end_to_end.histories import event, registered
from tests.end_to_end.leaks import leaks

DAYS, URL_DAYS = 30, 10
LAST_DAY = worlds.LAST_DAY


def sent(days_ago: int, event_id: str, **more: Any) -> dict[str, Any]:
    instant = worlds.noon(LAST_DAY - timedelta(days=days_ago))
    mark = f"somebody-{event_id}@leak.example"
    sent = {"url": "https://app.example/search", "user_agent": "Firefox/1", "properties": {"plan": "pro"}, "to": mark}
    return event("acme", mark, event_id, instant, **sent | more)


def night(workspace: Workspace, later: int) -> nightly.Report:
    return worlds.build(workspace, LAST_DAY + timedelta(days=later), only=["fct_events"])


def reasons(report: nightly.Report) -> Counter[str]:
    rows = report.rows
    assert rows["read"] == rows["accepted"] + rows["duplicate"] + rows["deferred"] + rows["quarantined"]
    return Counter(report.reasons) + Counter({"accepted": rows["accepted"], "duplicate": rows["duplicate"]})


def urls(workspace: Workspace) -> list[tuple[Any, ...]]:
    query = "select cast(occurred_at as date) - ?, url_path is not null from int_events order by all"
    return worlds.fetch(workspace, "tenant", query, [LAST_DAY])


def agents(workspace: Workspace) -> list[tuple[Any, ...]]:
    query = "select cast(occurred_at as date) - ?, user_agent_family from int_events order by all"
    return worlds.fetch(workspace, "tenant", query, [LAST_DAY])


def test_rows_and_fields_go_when_their_time_has_come(tmp_path: Path) -> None:
    workspace = worlds.registered(
        tmp_path,
        [registered(tenant, retention_days=days) for tenant, days in (("acme", "30"), ("globex", "365"), ("*", "30"))],
    )
    (workspace.registry / "retention.csv").write_text(f"tenant_id,class,days\nacme,url,{URL_DAYS}\nacme,user_agent,3\n")
    old = sent(DAYS - 2, "old", user_agent="SomeBot/1")
    worlds.land(workspace, "old.jsonl", [old, old | {"received_at": None}, '{"cut short": "somebody-cut@leak.example"'])
    theirs = sent(DAYS + 9, "theirs") | {"tenant_id": "globex"}
    worlds.land(workspace, "both.jsonl", [sent(5, "new"), theirs, sent(DAYS, "gone"), sent(-90, "to come")])

    first = worlds.ingest(workspace)
    assert reasons(first) == {
        "accepted": 3, "duplicate": 1, "expired": 1, "unparsable": 1, "future_timestamp": 1,
    }  # fmt: skip
    assert urls(workspace) == [(-DAYS - 9, True), (2 - DAYS, False), (-5, True)]
    assert agents(workspace) == [(-DAYS - 9, "firefox"), (2 - DAYS, "robot"), (-5, None)], "a robot stays one"

    second = night(workspace, 2)
    assert reasons(second) == {"accepted": 2, "expired": 3, "unparsable": 1, "future_timestamp": 1}
    assert urls(workspace) == [(-DAYS - 9, True), (-5, True)]
    assert second.forgotten is None, "the files can wait for a week"
    gone = {f"somebody-{name}@leak.example" for name in ("old", "gone", "new", "cut", "to come")}
    assert {leak.canary for leak in leaks(gone, erasures.readable(workspace))} == gone

    last = night(workspace, DAYS + forgetting.PATIENCE_DAYS)
    assert reasons(last) == {"accepted": 1, "expired": 6}
    assert last.forgotten is not None
    assert (last.forgotten.blanked_files, last.forgotten.deleted_files) == (1, 1)
    assert not leaks(gone, erasures.readable(workspace))
    assert [path.name for path in workspace.landing.rglob("*.jsonl")] == ["both.jsonl"]


def test_a_class_that_goes_with_its_row_has_no_days_of_its_own(tmp_path: Path) -> None:
    workspace = worlds.registered(tmp_path, [registered("acme")])
    (workspace.registry / "retention.csv").write_text("tenant_id,class,days\nacme,identifier,10\n")
    with pytest.raises(Refused, match="identifier goes with its row"):
        worlds.ingest(workspace)
