"""Which of two copies of an event counts: its own user's rows decide, in whatever files they came, and beside whom."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import Row, event, registered

NOON = worlds.noon(worlds.LAST_DAY)
# What one copy says and the other does not, and the column that shows which of them counts.
DIFFERENCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "device": ("anonymous_key", {"anonymous_id": "phone"}, {"anonymous_id": "laptop"}),
    "device-or-none": ("anonymous_key", {"anonymous_id": "phone"}, {}),
    "account": ("account_key", {"account_id": "north"}, {"account_id": "south"}),
    "account-or-none": ("account_key", {}, {"account_id": "south"}),
    "session": ("client_session_key", {"session_id": "1"}, {"session_id": "2"}),
    "address": ("ip_network", {"ip": "192.0.2.1"}, {"ip": "198.51.100.1"}),
    "agent": ("user_agent_family", {"user_agent": "Mozilla/5.0 Firefox/140.0"}, {"user_agent": "curl/8.5.0"}),
    # of two clocks that come to the same instant
    "clock": ("occurred_at_rule", {}, {"occurred_at": NOON.replace(hour=13).isoformat()}),
}
# What stands where, of each difference: a user of its own for each way to put two copies into files.
WAYS = {
    "one file": [("1", 0), ("1", 1)],
    "one file, the other way round": [("1", 1), ("1", 0)],
    "two files": [("2", 0), ("3", 1)],
    "two files, the other way round": [("2", 1), ("3", 0)],
    "two files, beside somebody else": [("4", 0), ("5", 1)],
    "two files beside somebody else, the other way round": [("4", 1), ("5", 0)],
}
# Of each event id: how many copies there are in this respect, and as how many events they count.
COPIES = """
select event_key, count(distinct coalesce({column}, '')) from int_events_redacted where feature = 'search' group by all
"""
COUNTING = COPIES.replace("int_events_redacted", "int_events")


def world(root: Path) -> Workspace:
    files: dict[str, list[Row]] = defaultdict(list)
    for name, (_, *copies) in DIFFERENCES.items():
        for number, places in enumerate(WAYS.values()):
            for file, copy in places:
                files[file].append(event("acme", f"u{number}", name, NOON) | copies[copy])
    files["5"].append(event("acme", "somebody else", "e", NOON, feature="export"))
    workspace = worlds.registered(root, [registered("acme")])
    for file, rows in files.items():
        worlds.land(workspace, f"{file}.jsonl", rows)
    return workspace


def test_the_copy_that_counts_is_the_same_in_whatever_files_both_came(tmp_path: Path) -> None:
    workspace = world(tmp_path)
    report = worlds.ingest(workspace)
    assert report.rows["duplicate"] == len(DIFFERENCES) * len(WAYS)
    seen = set()
    for column in {column for column, *_ in DIFFERENCES.values()}:
        copies = dict(worlds.fetch(workspace, "restricted", COPIES.format(column=column)))
        counting = dict(worlds.fetch(workspace, "tenant", COUNTING.format(column=column)))
        differ = {event_key for event_key, count in copies.items() if count == 2}
        assert differ, column
        seen |= differ
        assert set(counting.values()) == {1}, column
    assert len(seen) == len(DIFFERENCES)


def test_whatever_is_known_of_an_event_is_asked_before_its_file(tmp_path: Path) -> None:
    nodes = Dbt(Workspace(tmp_path)).manifest().nodes
    asked = nodes["model.quorum.int_events_won"].raw_code.partition("-%}\n{%- set accepted")[0]
    places = {column: asked.find(f"'{column}'") for column in nodes["model.quorum.int_events"].columns}
    assert min(places.values()) > 0, "each is asked"
    assert sorted(places, key=lambda column: places[column])[-2:] == ["landing_file", "landing_row"]
