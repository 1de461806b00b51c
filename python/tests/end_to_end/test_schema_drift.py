"""What properties were seen when, and how that changed: the same however the rows came in."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import landing_queue
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import START, event, registered

NOON = START.replace(hour=12)
DAY = timedelta(days=1)

# What is sent on each day, counted from NOON.
SENT: dict[str, list[tuple[float, Any]]] = {
    "steady": [(0, {"a": 1}), (1, {"a": 2.5}), (2, {"a": -1})],
    "grows": [(0, {}), (0.1, {"same day": 1}), (2, {"same day": 1, "later": "x"})],
    "loses": [(0, {"gone": True, "stays": {}}), (1, {"stays": {"deep": 1}}), (2, None), (2.1, {"stays": {}})],
    "changes": [(0, {"a": None}), (1, {"a": 1}), (2, {"a": "1"}), (2.2, {"a": None}), (2.4, {"a": []})],
    "twice": [(0, '{"a": 1, "a": "1"}')],
    "nothing": [(0, None), (1, "text"), (2, "[1]"), (3, "{")],
    "odd": [(0, {"": 1, "*": 1, "it's": 1, 'say "hi"': 1, "a.b": 1, "ключ😀": 1, "n\0l": 1})],
    "large": [(0, {f"k{number}": 1 for number in range(501)}), (1, {f"k{number}": 1 for number in range(500)})],
    "long": [(0, {"a": "x" * 65_536}), (1, {"a": "x" * 65_000})],
}
DRIFT = {
    ("grows", "later", "new", "string", 2),
    ("loses", "gone", "missing", "boolean", 0),
    ("changes", "a", "retyped", "string", 2),
    ("changes", "a", "retyped", "array", 2.4),
    ("twice", "a", "retyped", "string", 0),
}
EVENT_ITSELF = (None, None)
PROPERTIES = "select * from gov_properties order by all"
BATCHES = 3
DRIFTED = "select * from gov_schema_drift order by all"


def rows() -> Iterator[dict[str, Any]]:
    for name, sent in SENT.items():
        for day, properties in sent:
            yield event("acme", "u", f"{name} {day}", at(day), event_name=name, properties=properties)
    yield event("other", "u", "1", at(0), event_name="steady", properties={"a": "text"})
    yield event("other", "u", "2", at(0), event_name=None, properties={"a": 1})
    # what a plan refuses is seen too
    yield event("planned", "u", "1", at(0), event_name="steady", properties={"a": "text"})
    yield event("planned", "u", "2", at(0), event_name="other", properties={"b": 1})
    yield event("nobody", "u", "1", at(-9), event_name="steady", properties={"unknown": 1})
    yield event("acme", "", "1", at(-9), event_name="steady", properties={"unidentified": 1})


def at(day: float) -> datetime:
    return NOON + day * DAY


class Killed(Exception):
    pass


def die(_connection: object) -> None:
    raise Killed


def world(root: Path) -> Workspace:
    workspace = worlds.registered(root, [registered(tenant) for tenant in ("acme", "other", "planned")])
    worlds.declare(
        workspace,
        "tracking_plan",
        "tenant_id,event_name,property,type,required",
        [("planned", "steady", "a", "number", "true")],
    )
    return workspace


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = world(tmp_path_factory.mktemp("once"))
    worlds.land(workspace, "all.jsonl", rows())
    reasons = worlds.ingest(workspace).reasons
    assert (reasons["type_mismatch"], reasons["unplanned_event"]) == (1, 1)
    return workspace


def seen(workspace: Workspace, query: str) -> list[tuple[Any, ...]]:
    return worlds.fetch(workspace, "restricted", query)


def properties_of(
    workspace: Workspace, name: str, tenant: str = "acme"
) -> dict[tuple[str | None, str | None], tuple[datetime, datetime]]:
    query = "select property, json_type, first_seen_at, last_seen_at from gov_properties where tenant_id = ?"
    found = worlds.fetch(workspace, "restricted", f"{query} and event_name = ?", [tenant, name])
    return {(key, kind): (first, last) for key, kind, first, last in found}


def test_each_property_is_seen_when_it_was_sent(once: Workspace) -> None:
    def between(first: float, last: float) -> tuple[datetime, datetime]:
        return at(first).replace(tzinfo=None), at(last).replace(tzinfo=None)

    assert properties_of(once, "steady") == {EVENT_ITSELF: between(0, 2), ("a", "number"): between(0, 2)}
    assert properties_of(once, "loses") == {
        EVENT_ITSELF: between(0, 2.1),
        ("gone", "boolean"): between(0, 0),
        ("stays", "object"): between(0, 2.1),
    }
    assert properties_of(once, "nothing") == {EVENT_ITSELF: between(0, 3)}
    assert properties_of(once, "odd").keys() == {EVENT_ITSELF, *((key, "number") for key in SENT["odd"][0][1])}
    for name, keys in {"large": 500, "long": 1}.items():
        found = properties_of(once, name)
        assert found.pop(("*", "too_many")) == between(0, 0)
        assert len(found) == 1 + keys
        assert set(found.values()) == {between(1, 1)}
    others = seen(
        once, "select event_name, property, json_type from gov_properties where tenant_id not in ('acme', 'planned')"
    )
    assert set(others) == {
        (name, *each) for name, kind in (("steady", "string"), (None, "number")) for each in (EVENT_ITSELF, ("a", kind))
    }


def test_what_changed_is_told(once: Workspace) -> None:
    found = seen(once, "select event_name, property, kind, json_type, since from gov_schema_drift")
    assert set(found) == {(*drift, at(day).replace(tzinfo=None)) for *drift, day in DRIFT}
    assert len(found) == len(DRIFT)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batches_in_any_order_and_run_twice_say_the_same(
    seed: int, once: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, shuffled = world(tmp_path), list(rows())
    random.Random(seed).shuffle(shuffled)
    for batch in range(BATCHES):
        worlds.land(workspace, f"{batch}.jsonl", shuffled[batch::BATCHES])
        if batch == 1:
            with monkeypatch.context() as killed:
                killed.setattr(landing_queue, "commit", die)
                with pytest.raises(Killed):
                    worlds.ingest(workspace)
            before = seen(workspace, PROPERTIES)
            worlds.ingest(workspace)
            assert seen(workspace, PROPERTIES) == before
        else:
            worlds.ingest(workspace)
    assert seen(workspace, PROPERTIES) == seen(once, PROPERTIES)
    assert seen(workspace, DRIFTED) == seen(once, DRIFTED)


def test_what_a_plan_refuses_is_seen_too(once: Workspace) -> None:
    assert properties_of(once, "steady", "planned").keys() == {EVENT_ITSELF, ("a", "string")}
    assert properties_of(once, "other", "planned").keys() == {EVENT_ITSELF, ("b", "number")}
