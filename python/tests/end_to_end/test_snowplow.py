"""Snowplow's test events, each there for an edge case, held against what Snowplow's own dbt package makes of them."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

GIVEN = worlds.SHARED_DATA / "snowplow"
PAGE_ID = "contexts_com_snowplowanalytics_snowplow_web_page_1_0_0"
SKEW = timedelta(seconds=2)
TIMEOUT = timedelta(minutes=30)
HEARTBEAT = timedelta(seconds=5)  # a session that begins with a page ping begins so much before it there
LONGEST = timedelta(days=3)  # what that package allows a session, and an event to be late

pytestmark = pytest.mark.skipif(not GIVEN.is_dir(), reason="Snowplow's test events are not on this machine")

Row = dict[str, str]


@dataclass
class Session:
    """What was tracked under one session id."""

    events: Counter[str]
    last: datetime
    length: timedelta


class Span(NamedTuple):
    """A session, whoever counts it."""

    started_at: datetime
    ended_at: datetime
    events: int


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def raw() -> list[Row]:
    [path] = (GIVEN / "landing").rglob("*.csv")
    return read(path)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night of a tenant that lets a device join as many users as that package does."""
    workspace = worlds.real("snowplow", tmp_path_factory.mktemp("snowplow"))
    limits = {"max_users_per_device": "10", "max_users_per_person": "10"}
    worlds.registered(workspace.root, [row | limits for row in read(workspace.registry / "tenants.csv")])
    return Night(workspace, worlds.build(workspace, tested=True))


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


def edge_case(row: Row) -> str:
    """Return what a row is there for, which stands in its user id; one has many user ids, numbered."""
    return row["user_id"].partition(" - ")[0]


@pytest.fixture(scope="module")
def persons(night: Night, raw: list[Row]) -> dict[str, str]:
    """Return the person of each edge case."""
    query = (
        "select landing_row, person_key from fct_events inner join int_events using (tenant_key, unit_key, event_key)"
    )
    pairs = {(edge_case(raw[row - 1]), person) for row, person in worlds.fetch(night.workspace, "tenant", query)}
    assert len(pairs) == len(dict(pairs)) == len({person for _, person in pairs}), "an edge case is a user of its own"
    return dict(pairs)


@pytest.fixture(scope="module")
def person_sessions(night: Night, persons: dict[str, str]) -> dict[str, list[Span]]:
    """Return the sessions of each edge case, in order."""
    cases = {person: case for case, person in persons.items()}
    found = defaultdict(list)
    query = "select person_key, started_at, ended_at, events from fct_sessions order by all"
    for person, *span in worlds.fetch(night.workspace, "tenant", query):
        found[cases[person]].append(Span(*span))
    return dict(found)


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


# Where a session there is none here: how many there are there, and here.
OTHER_SESSIONS = {
    # pauses longer than half an hour within a session of the tracker
    "Rotating domain_userid per session": (1, 3),
    "long session": (1, 11),  # which is cut off after three days besides
    "Unexpired session": (1, 2),  # and this one, before its second event
    # the tracker has two sessions at once
    "Multiple first sessions per user": (2, 1),
    "Multiple last sessions per user": (2, 1),
}


def test_sessions_of_a_person(raw: list[Row], person_sessions: dict[str, list[Span]], expected: dict[str, Row]) -> None:
    """They are cut by the pauses; where the tracker cuts as these do, they are that package's, row by row."""
    theirs = defaultdict(list)
    for row in sorted(expected.values(), key=lambda row: row["start_tstamp"]):
        start, end = (datetime.fromisoformat(row[f"{name}_tstamp"]) for name in ("start", "end"))
        counts = json.loads(row["event_counts"])
        shift = timedelta() if "page_view" in counts else HEARTBEAT
        theirs[edge_case(row)].append(Span(start + shift, end, int(row["total_events"])))
    same = {case: spans for case, spans in theirs.items() if person_sessions[case] == spans}
    assert sum(map(len, same.values())) == 11
    other = {case: (len(theirs[case]), len(person_sessions[case])) for case in theirs.keys() - same.keys()}
    assert other == OTHER_SESSIONS
    assert person_sessions == {case: list(cut(rows)) for case, rows in by_edge_case(raw).items()}


def by_edge_case(raw: list[Row]) -> dict[str, list[Row]]:
    return {case: list(rows) for case, rows in groupby(sorted(raw, key=edge_case), edge_case)}


def cut(rows: list[Row]) -> Iterator[Span]:
    """Yield the sessions of events that are one person's: of two with one id, the one received first counts."""
    first = {row["event_id"]: row for row in sorted(rows, key=lambda row: row["collector_tstamp"], reverse=True)}
    instants = sorted(
        datetime.fromisoformat(min(row["derived_tstamp"], row["collector_tstamp"])) for row in first.values()
    )
    begun = [place for place, at in enumerate(instants) if place == 0 or at - instants[place - 1] > TIMEOUT]
    for start, end in pairwise([*begun, len(instants)]):
        yield Span(instants[start], instants[end - 1], end - start)


# In what a user there and the person here differ, and why.
OTHER_USERS = {
    "No edge cases": {"page_views"},  # a page that only pings is a page view there
    "stray page ping": {"page_views"},
    "dupe: page_view_id different derived_tstamp": {"page_views"},  # two page views of one id are one there
    "long session": {"ended_at", "page_views", "sessions"},  # cut off after three days
    "Unexpired session": {"ended_at", "page_views", "sessions"},
    "Rotating domain_userid per session": {"sessions"},  # pauses
    "Multiple first sessions per user": {"started_at", "ended_at", "sessions"},  # the device's clock is ahead
    "Multiple last sessions per user": {"started_at", "ended_at", "sessions"},
}
# Persons that are no users there, since they have no session, or no `domain_userid`.
OUR_USERS = {
    "consent_accel",
    "late arriving: device created/sent >3 days",
    "NULL page_view_id",
    "NULL domain_sessionid",
    "NULL domain_userid",
}


def test_users_are_persons(night: Night, persons: dict[str, str], person_sessions: dict[str, list[Span]]) -> None:
    theirs = {edge_case(row): row for row in read(GIVEN / "expected" / "users.csv")}
    assert len(theirs) == 11
    assert persons.keys() - theirs.keys() == OUR_USERS
    query = "select person_key, count(*) from fct_events where event_name = 'page_view' group by person_key"
    page_views = dict(worlds.fetch(night.workspace, "tenant", query))
    other = {}
    for case, row in theirs.items():
        spans = person_sessions[case]
        there = {
            "started_at": datetime.fromisoformat(row["start_tstamp"]),
            "ended_at": datetime.fromisoformat(row["end_tstamp"]),
            "page_views": int(row["page_views"]),
            "sessions": int(row["sessions"]),
        }
        here = {
            "started_at": spans[0].started_at,
            "ended_at": spans[-1].ended_at,
            "page_views": page_views[persons[case]],
            "sessions": len(spans),
        }
        other[case] = {name for name in there if there[name] != here[name]}
    assert {case: names for case, names in other.items() if names} == OTHER_USERS
