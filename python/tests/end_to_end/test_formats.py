"""Each vendor's export, in the spellings that it comes in, becomes the event contract that was written down by hand."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import registered

CASES = Path(__file__).parent / "formats"
FORMATS = sorted(path.stem for path in CASES.glob("*.yml"))
MADE = re.compile("[0-9a-f]{64}")
COLUMNS = (
    *("event_id", "user_id", "anonymous_id", "account_id", "session_id", "event_name", "feature", "url", "referrer"),
    *("ip", "user_agent", "country", "platform", "properties", "occurred_at", "received_at", "sent_at"),
    *("duration_ms", "value_minor", "occurred_at_rule", "reason"),
)


@dataclass(frozen=True)
class Case:
    """A row as a vendor writes it, and what it is: the columns that are not NULL, by name.

    ``properties: all`` stands for the whole row or its own properties. An id that was made of the content is named
    by the first case that has it.
    """

    name: str
    landed: dict[str, Any]
    expected: dict[str, Any]

    def whole(self) -> list[Any]:
        properties = self.landed.get("properties")
        return [self.landed, json.loads(properties) if isinstance(properties, str) else properties]


def cases(source_format: str) -> list[Case]:
    written = yaml.safe_load((CASES / f"{source_format}.yml").read_text())
    return [Case(case["case"], json.loads(case["landed"]), case["is"]) for case in written]


HOSTILE: tuple[Any, ...] = (
    "",
    "'",
    "{",
    "[",
    "null",
    "\x00",
    "99999999999999999999",
    "1e999",
    "NaN",
    -1,
    1e300,
    1 << 70,
    [],
    {},
    [[{}]],
    None,
)


def spoilt(value: Any) -> Iterator[Any]:
    """Yield copies of a row in which one part, each in turn, is something else."""
    yield from HOSTILE
    if isinstance(value, dict | list):
        for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            for other in spoilt(part):
                copy = value.copy()
                copy[key] = other
                yield copy


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """All formats land in one night, the hostile rows of another tenant among them."""
    workspace = worlds.registered(tmp_path_factory.mktemp("formats"), [registered("acme"), registered("hostile")])
    for source_format in FORMATS:
        lines = [json.dumps(case.landed) for case in cases(source_format)]
        worlds.land(workspace, "tenant=acme/events.jsonl", lines, source_format)
        hostile = [json.dumps(row) for case in cases(source_format) for row in spoilt(case.landed)]
        worlds.land(workspace, "tenant=hostile/events.jsonl", hostile, source_format)
    worlds.land(workspace, "names.jsonl", [{f"name {n}": n} for n in range(2100)], "github")
    worlds.land(workspace, "names.jsonl", [{f"name {n}": n for n in range(600)}], "wikimedia")
    workspace.policy.mkdir()
    (workspace.policy / "field_policies.csv").write_text(
        "source_format,field,class,action\nrudderstack,user_agent,user_agent,drop\n"
    )
    (workspace.registry / "retention.csv").write_text("tenant_id,class,days\n*,url,30\nacme,ip_address,7\n")
    return Night(workspace, worlds.build(workspace, tested=True))


def landed(night: Night, source_format: str) -> list[dict[str, Any]]:
    of_tenant = "from int_events_landed where source_format = ? and tenant_id = 'acme' order by landing_row"
    rows = worlds.fetch(night.workspace, "restricted", f"select {', '.join(COLUMNS)} {of_tenant}", [source_format])
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.parametrize("source_format", FORMATS)
def test_a_row_becomes_what_was_written_down(night: Night, source_format: str) -> None:
    made: dict[str, str] = {}
    for case, row in zip(cases(source_format), landed(night, source_format), strict=True):
        if MADE.fullmatch(row["event_id"]):
            row["event_id"] = made.setdefault(row["event_id"], case.name)
        if row["properties"] is not None:
            row["properties"] = json.loads(row["properties"])
            if case.expected.get("properties") == "all":
                assert row["properties"] in case.whole()
                row["properties"] = "all"
        if row["occurred_at_rule"] == "occurred_at":
            del row["occurred_at_rule"]
        found = {column: value for column, value in row.items() if value is not None}
        assert (case.name, found) == (case.name, case.expected)


ACCOUNTS = """
select accounting.rows_read, accepted_rows, duplicate_rows, quarantined_rows
from gov_landing_accounting as accounting join landing_files using (landing_file)
where accounting.source_format = ? and folder_tenant = ?
"""


@pytest.mark.parametrize("source_format", FORMATS)
def test_every_row_is_accounted_for(night: Night, source_format: str) -> None:
    """What is exported twice is a duplicate: in two tables, in two spellings, or for want of deduplication."""
    sound = [case.expected["event_id"] for case in cases(source_format) if "reason" not in case.expected]
    refused = len(cases(source_format)) - len(sound)
    [row] = worlds.fetch(night.workspace, "restricted", ACCOUNTS, [source_format, "acme"])
    assert row == (len(sound) + refused, len(set(sound)), len(sound) - len(set(sound)), refused)


@pytest.mark.parametrize("source_format", FORMATS)
def test_nothing_that_is_sent_breaks_the_night(night: Night, source_format: str) -> None:
    [(read, *accounted)] = worlds.fetch(night.workspace, "restricted", ACCOUNTS, [source_format, "hostile"])
    assert read == sum(accounted) > 500
    query = "select distinct properties from int_events_landed where source_format = ? and properties is not null"
    for (properties,) in worlds.fetch(night.workspace, "restricted", query, [source_format]):
        assert isinstance(json.loads(properties), dict)


def test_a_page_view_is_one_feature_in_every_format(night: Night) -> None:
    query = "select distinct source_format from int_events where feature = 'page_view' and event_name <> 'unlisted'"
    assert {name for (name,) in worlds.fetch(night.workspace, "tenant", query)} == {*FORMATS}


INVENTORY = "select * exclude (source_format) from gov_data_inventory where source_format = ?"


@pytest.mark.parametrize("source_format", FORMATS)
def test_every_key_that_landed_is_in_the_inventory(night: Night, source_format: str) -> None:
    """With its name, or by the objects in it that are listed one by one."""
    listed = {row[0] for row in worlds.fetch(night.workspace, "restricted", INVENTORY, [source_format])}
    holders = {name[: match.start()] for name in listed for match in re.finditer(r"[.\[]", name)}
    keys = {key for case in cases(source_format) for key in case.landed}
    assert not keys - listed - holders


FATES = [
    ("posthog", "person_id", None, "never read", None, None, "restricted", None),
    ("posthog", "distinct_id", "user_id", "taken", "tokenise", "user_key", "tenant", None),
    ("posthog", "distinct_id", "anonymous_id", "taken", "tokenise", "anonymous_key", "tenant", None),
    ("posthog", "properties.$ip", "ip", "taken", "truncate", "ip_network", "tenant", 90),
    ("posthog", "properties.$is_identified", "user_id", "taken", "tokenise", "user_key", "tenant", None),
    ("posthog", "properties", "properties", "dropped", "drop", None, "restricted", 90),
    (
        "ga4",
        "event_params.session_engaged",
        "properties.session_engaged",
        "taken",
        "keep",
        "properties",
        "tenant",
        None,
    ),
    ("ga4", "event_params.page_location", "url", "taken", "strip", "url_path", "tenant", 30),
    ("rudderstack", "context.userAgent", "user_agent", "dropped", "drop", None, "restricted", 180),
    ("segment", "context.userAgent", "user_agent", "taken", "generalise", "user_agent_family", "tenant", 180),
    ("rudderstack", "sentAt", "sent_at", "dropped", "drop", None, "restricted", None),
    ("snowplow", "app_id", "properties.app_id", "dropped", "drop", None, "restricted", 90),
    ("segment", "messageId", "event_id", "taken", "tokenise_exact", "event_key", "tenant", None),
]


@pytest.mark.parametrize("row", FATES, ids=lambda row: f"{row[0]} {row[1]} {row[2]}")
def test_the_inventory_says_what_becomes_of(night: Night, row: tuple[Any, ...]) -> None:
    columns = "raw_field, contract_field, fate, action, event_column, audience, retention_days"
    query = f"select {columns} from gov_data_inventory where source_format = ? and raw_field = ? "
    found = worlds.fetch(night.workspace, "restricted", f"{query} order by all", row[:2])
    assert row[1:] in found
    assert all(each == row[1:] or each[1] != row[2] for each in found)


def test_a_workspace_that_is_stricter_about_one_format_is_so(night: Night) -> None:
    query = "select source_format, count(user_agent_family) > 0 from int_events group by all"
    known = dict(worlds.fetch(night.workspace, "tenant", query))
    assert (known["rudderstack"], known["segment"]) == (False, True)


def test_days_are_written_for_all_and_for_who_says_so(night: Night) -> None:
    query = "select tenant_id, days from class_retention where class = ? order by all"
    assert worlds.fetch(night.workspace, "restricted", query, ["ip_address"]) == [("*", 90), ("acme", 7)]
    assert worlds.fetch(night.workspace, "restricted", query, ["url"]) == [("*", 30), ("acme", 30)]


def test_names_that_are_seen_are_bounded_and_have_a_day(night: Night) -> None:
    query = "select source_format, count(*), min(first_seen_on), max(last_seen_on) from gov_fields group by all"
    rows = worlds.fetch(night.workspace, "restricted", query)
    assert {source_format: count for source_format, count, *_ in rows if source_format not in FORMATS} == {
        "github": 2001,  # of a batch, the last stands for the others
        "wikimedia": 500,  # of an object
    }
    assert {day for row in rows for day in row[2:]} == {worlds.LAST_DAY}
