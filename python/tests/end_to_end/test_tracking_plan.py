"""Rows that a tracking plan did not expect are quarantined, each by itself, and only where there is a plan."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import worlds
from tests.end_to_end.histories import START, event, registered

ODD = ('say "hi"', "it's", "a.b", "$", "$.a", "a/b", "~1", "a[0]", "*", "ключ", "😀", "\\", "true); drop table t; --")
VALUES: dict[str, list[Any]] = {
    "string": ["x", ""],
    "number": [1, -1.5, 10**30],
    "boolean": [True, False],
    "object": [{}, {"a": 1}],
    "array": [[], [1]],
}

PLAN = [
    *(("planned", "typed", kind, kind, "false") for kind in VALUES),
    *(("planned", "odd", name, "string", "true") for name in ODD),
    ("planned", "bare", "", "", ""),
]
DEFAULT = ("*", "default", "n", "number", "true")
UNPLANNED, MISMATCH, TAKEN = "unplanned_event", "type_mismatch", "accepted"


def sent(tenant: str, name: str | None, properties: Any, expected: str) -> tuple[dict[str, Any], str]:
    return event(tenant, "u", "", START, event_name=name, properties=properties), expected


def cases() -> Iterator[tuple[dict[str, Any], str]]:
    for planned in VALUES:
        for kind, values in VALUES.items():
            for value in values:
                yield sent("planned", "typed", {planned: value}, TAKEN if kind == planned else MISMATCH)
        yield sent("planned", "typed", {planned: None, "another": 1}, TAKEN)
    everything = dict.fromkeys(ODD, "x")
    yield sent("planned", "odd", everything, TAKEN)
    for name in ODD:
        for wrong in (
            everything | {name: 1},
            everything | {name: None},
            {k: v for k, v in everything.items() if k != name},
        ):
            yield sent("planned", "odd", wrong, MISMATCH)
    yield sent("planned", "odd", json.dumps(everything), TAKEN)  # an object sent as text is read as one
    nothings: list[Any] = [None, "{", "text", [], {}, 1]
    for nothing in nothings:
        yield sent("planned", "odd", nothing, MISMATCH)
        yield sent("planned", "typed", nothing, TAKEN)
        yield sent("planned", "bare", nothing, TAKEN)
    for other in ("default", "Bare", "bare ", None, "'"):
        yield sent("planned", other, {"n": 1}, TAKEN if other == "bare " else UNPLANNED)
    yield sent("by default", "default", {"n": 1}, TAKEN)
    yield sent("by default", "default", {"n": "1"}, MISMATCH)
    yield sent("by default", "bare", {}, UNPLANNED)


@pytest.mark.parametrize("default", [[DEFAULT], []], ids=["with a default", "without"])
def test_each_row_ends_where_the_plan_says(default: list[tuple[str, ...]], tmp_path: Path) -> None:
    workspace = worlds.registered(tmp_path, [registered("planned"), registered("by default")])
    with (workspace.registry / "tracking_plan.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("tenant_id", "event_name", "property", "type", "required"), *PLAN, *default])
    rows = [(row | {"event_id": str(number)}, end) for number, (row, end) in enumerate(cases(), start=1)]
    worlds.land(workspace, "rows.jsonl", (row for row, _ in rows))
    worlds.ingest(workspace)
    found = dict(worlds.fetch(workspace, "tenant", "select landing_row, 'accepted' from int_events"))
    found |= dict(worlds.fetch(workspace, "restricted", "select landing_row, reason from int_quarantine"))
    for number, (row, end) in enumerate(rows, start=1):
        expected = TAKEN if not default and row["tenant_id"] == "by default" else end
        assert found[number] == expected, (row["tenant_id"], row["event_name"], row["properties"])
