"""Snowplow's test events, each there for an edge case, held against what Snowplow's own dbt package makes of them."""

import csv
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

GIVEN = worlds.SHARED_DATA / "snowplow"
PAGE_ID = "contexts_com_snowplowanalytics_snowplow_web_page_1_0_0"
SKEW = timedelta(seconds=2)
LONGEST = timedelta(days=3)  # what that package allows a session, and an event to be late

pytestmark = pytest.mark.skipif(not GIVEN.is_dir(), reason="Snowplow's test events are not on this machine")

Row = dict[str, str]


@dataclass
class Session:
    """What was tracked under one session id."""

    events: Counter[str]
    last: datetime
    length: timedelta


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def raw() -> list[Row]:
    [path] = (GIVEN / "landing").rglob("*.csv")
    return read(path)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    workspace = worlds.real("snowplow", tmp_path_factory.mktemp("snowplow"))
    return Night(workspace, worlds.build(workspace))


@pytest.fixture(scope="module")
def sessions(night: Night) -> dict[str | None, Session]:
    """Return the accepted events by the session id that the tracker sent."""
    query = "from int_events_landed anti join int_duplicates using (landing_file, landing_row)"
    rows = worlds.fetch(night.workspace, "restricted", f"select session_id, event_name, occurred_at {query}")
    found = defaultdict(list)
    for session_id, event, occurred_at in rows:
        found[session_id].append((occurred_at, event))
    return {
        session_id: Session(Counter(event for _, event in events), max(events)[0], max(events)[0] - min(events)[0])
        for session_id, events in found.items()
    }


@pytest.fixture(scope="module")
def expected() -> dict[str, Row]:
    return {row["domain_sessionid"]: row for row in read(GIVEN / "expected" / "sessions.csv")}


def test_every_row_is_accounted_for(night: Night, raw: list[Row]) -> None:
    """An event id that came twice is a duplicate. No edge case is refused: each row has a user id and a sound time."""
    repeated = len(raw) - len({row["event_id"] for row in raw})
    assert (len(raw), repeated) == (160, 3)
    rows = {"read": len(raw), "accepted": len(raw) - repeated, "duplicate": repeated, "quarantined": 0, "deferred": 0}
    assert night.report.rows == {"files": 1, "unchecked_files": 1, **rows}
    assert night.report.reasons == {}


def test_the_folder_says_whose_the_rows_are(night: Night, raw: list[Row]) -> None:
    """Whatever the app_id says, which many of them leave out."""
    assert len({row.get("app_id") for row in raw}) > 2
    assert worlds.fetch(night.workspace, "restricted", "select distinct tenant_id from int_events_landed") == [
        ("snowplow",)
    ]


def test_sessions_hold_the_same_events(sessions: dict[str | None, Session], expected: dict[str, Row]) -> None:
    """But for those that last longer than three days, of which that package leaves out the rest."""
    compared = {name: session for name, session in sessions.items() if name in expected and session.length <= LONGEST}
    assert len(compared) == len(expected) - 2
    for session_id, row in expected.items():
        counts = Counter(json.loads(row["event_counts"]))
        if session_id in compared:
            assert compared[session_id].events == counts
            # an event ahead of its receipt is placed where it was received
            assert timedelta() <= datetime.fromisoformat(row["end_tstamp"]) - compared[session_id].last < SKEW
        else:
            assert sessions[session_id].events > counts


def seen_by_the_package(row: Row) -> bool:
    """Tell whether an event makes a session there: a page view or ping with a page view id, sent within three days."""
    created, sent = (datetime.fromisoformat(row[f"dvce_{name}_tstamp"]) for name in ("created", "sent"))
    is_page = row["event_name"] in ("page_view", "page_ping")
    return is_page and sent - created <= LONGEST and json.loads(row[PAGE_ID])[0]["id"] is not None


def test_sessions_that_are_only_ours(
    raw: list[Row], sessions: dict[str | None, Session], expected: dict[str, Row]
) -> None:
    """We take every session, also one of an event that is late, is no page's, or names no session."""
    assert {row.get("domain_sessionid") for row in raw if seen_by_the_package(row)} == set(expected)
    assert set(sessions) == {row.get("domain_sessionid") for row in raw}
