"""Each vendor's export, in the spellings that it comes in, becomes the event contract that was written down by hand."""

import json
import re
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


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """All formats land in one night."""
    workspace = worlds.registered(tmp_path_factory.mktemp("formats"), [registered("acme")])
    for source_format in FORMATS:
        lines = [json.dumps(case.landed) for case in cases(source_format)]
        worlds.land(workspace, "tenant=acme/events.jsonl", lines, source_format)
    return Night(workspace, worlds.build(workspace))


def landed(night: Night, source_format: str) -> list[dict[str, Any]]:
    query = f"select {', '.join(COLUMNS)} from int_events_landed where source_format = ? order by landing_row"
    rows = worlds.fetch(night.workspace, "restricted", query, [source_format])
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


def test_every_row_is_accounted_for(night: Night) -> None:
    """What is exported twice is a duplicate: in two tables, in two spellings, or for want of deduplication."""
    expected = [case for source_format in FORMATS for case in cases(source_format)]
    refused = [case.expected["reason"] for case in expected if "reason" in case.expected]
    ids = {
        (name, case.expected["event_id"]) for name in FORMATS for case in cases(name) if "reason" not in case.expected
    }
    assert night.report.reasons == {reason: refused.count(reason) for reason in sorted(set(refused))}
    assert night.report.rows == {
        "files": len(FORMATS),
        "read": len(expected),
        "accepted": len(ids),
        "duplicate": len(expected) - len(refused) - len(ids),
        "quarantined": len(refused),
    }


def test_a_page_view_is_one_feature_in_every_format(night: Night) -> None:
    query = "select distinct source_format from int_events where feature = 'page_view' and event_name <> 'unlisted'"
    assert {name for (name,) in worlds.fetch(night.workspace, "tenant", query)} == {*FORMATS}
