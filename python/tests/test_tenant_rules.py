"""Rules of tenants are read as an operator means them; what cannot hold is told in one line, without a value."""

import csv
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest

from quorum import registry
from quorum.errors import BadInput
from quorum.rule_file import digest
from quorum.tenant_rules import Known, listed_ids, load, tenant_ids
from tests.test_registry import ACME, write

KNOWN = Known(
    events=frozenset({"signup", "purchase", "Order Completed"}),
    features=frozenset({"search"}),
    properties={
        "experiment": frozenset({"checkout_button"}),
        "variant": frozenset({"control", "treatment", "a", "b"}),
        "items": frozenset(),
    },
)
RIGHT: dict[str, list[dict[str, str]]] = {
    "active_events": [
        {"tenant_id": "acme", "valid_from": "2026-01-01", "event_name": "signup"},
        {"tenant_id": "acme", "valid_from": "2026-01-01", "event_name": "Order Completed"},
    ],
    "internal_users": [
        {
            "tenant_id": "acme",
            "valid_from": "2026-01-01",
            "user_id": "Ada@example.com",
            "anonymous_id": "",
            "listed_as": "internal",
        },
        {"tenant_id": "*", "valid_from": "2026-01-01", "user_id": "", "anonymous_id": "ada@phone", "listed_as": "none"},
    ],
    "funnels": [
        {
            "tenant_id": "acme",
            "funnel": "to purchase",
            "sequence": "ordered",
            "window_hours": "24",
            "grain": "user",
            "held_property": "items",
            "step": step,
            "step_name": f"step {step}",
            **wanted,
        }
        for step, wanted in (
            ("1", {"event_name": "signup", "feature": ""}),
            ("2", {"event_name": "", "feature": "search"}),
            ("3", {"event_name": "purchase", "feature": ""}),
        )
    ],
    "conversions": [{"tenant_id": "acme", "conversion": "sale", "event_name": "purchase", "lookback_days": "30"}],
    "experiments": [
        {
            "tenant_id": "acme",
            "experiment": "checkout_button",
            "exposure_event": "signup",
            "experiment_property": "experiment",
            "variant_property": "variant",
            "control": "control",
            "metric_event": "purchase",
            "starts_on": "2026-01-01",
            "ends_on": "2026-01-01",
            "min_sample": "20",
            "min_days": "1",
        }
    ],
    "experiment_variants": [
        {"tenant_id": "acme", "experiment": "checkout_button", "variant": variant, "weight": "1"}
        for variant in ("control", "treatment")
    ],
}


def put(directory: Path, files: dict[str, list[dict[str, str]]]) -> None:
    for name, rows in files.items():
        with (directory / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def read(
    directory: Path, files: dict[str, list[dict[str, str]]], tenants: Iterable[str] = ("acme",)
) -> dict[str, pa.Table]:
    put(directory, files)
    write(directory, *({**ACME, "tenant_id": tenant} for tenant in tenants))
    return load(directory, registry.load(directory), KNOWN)


def changed(name: str, number: int, **cells: str) -> dict[str, list[dict[str, str]]]:
    """Return all that is right, but for one row."""
    return RIGHT | {name: [row | cells if place == number else row for place, row in enumerate(RIGHT[name], start=2)]}


def without(name: str, *lines: int) -> dict[str, list[dict[str, str]]]:
    return RIGHT | {name: [row for place, row in enumerate(RIGHT[name], start=2) if place not in lines]}


def with_more(name: str, **cells: str) -> dict[str, list[dict[str, str]]]:
    return RIGHT | {name: [*RIGHT[name], RIGHT[name][0] | cells]}


def test_each_file_may_be_missing(tmp_path: Path) -> None:
    tables = read(tmp_path, {})
    assert set(tables) == set(RIGHT)
    for name, table in tables.items():
        assert table.num_rows == 0
        assert table.column_names == list(RIGHT[name][0])


def test_what_is_right_is_read_with_types(tmp_path: Path) -> None:
    tables = read(tmp_path, RIGHT)
    assert {name: table.num_rows for name, table in tables.items()} == {name: len(rows) for name, rows in RIGHT.items()}
    assert tables["experiments"]["min_sample"].to_pylist() == [20]
    assert tables["internal_users"]["user_id"].to_pylist() == [None, "Ada@example.com"]
    assert tables["funnels"]["event_name"].to_pylist() == ["signup", None, "purchase"]
    assert {field.name: field.type for field in tables["conversions"].schema}["lookback_days"] == pa.int32()


def test_the_digest_is_of_the_rows_and_not_of_their_order(tmp_path: Path) -> None:
    backwards = {name: rows[::-1] for name, rows in RIGHT.items()}
    first, second = ({name: digest(each) for name, each in read(tmp_path, rows).items()} for rows in (RIGHT, backwards))
    assert first == second
    assert (
        len({*first.values(), digest(read(tmp_path, changed("conversions", 2, lookback_days="7"))["conversions"])}) == 7
    )


def test_columns_that_are_empty_may_be_missing(tmp_path: Path) -> None:
    funnel = [{k: v for k, v in row.items() if k not in ("held_property", "feature")} for row in RIGHT["funnels"][::2]]
    for step, row in enumerate(funnel, start=1):
        row["step"] = str(step)
    assert read(tmp_path, {"funnels": funnel})["funnels"]["held_property"].to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (changed("active_events", 2, tenant_id=" "), "active_events.csv, line 2, column tenant_id: it is blank"),
        (changed("active_events", 2, tenant_id="ada@x.org"), "line 2, column tenant_id: no such tenant in tenants.csv"),
        (changed("active_events", 3, valid_from="1.1.2026"), "line 3, column valid_from: expected a date"),
        (changed("active_events", 3, valid_from="2200-01-01"), "line 3, column valid_from: expected a date"),
        (changed("active_events", 3, event_name="ada@x.org"), "line 3, column event_name: expected an event name of"),
        (changed("active_events", 3, event_name="signup"), "line 3, column event_name: line 2 declares the same"),
        (changed("internal_users", 2, user_id=""), "internal_users.csv, line 2, column user_id: expected either"),
        (changed("internal_users", 2, anonymous_id="ada@"), "line 2, column user_id: expected either"),
        (changed("internal_users", 2, user_id="ada@\0"), "line 2, column user_id: expected no control characters"),
        (
            changed("internal_users", 3, listed_as="ada@"),
            "line 3, column listed_as: expected one of internal, test, bot",
        ),
        (with_more("internal_users", listed_as="bot"), "line 4, column valid_from: line 2 declares the same"),
        (changed("funnels", 2, sequence="ada@"), "funnels.csv, line 2, column sequence: expected one of ordered"),
        (changed("funnels", 3, window_hours="25"), "line 3, column window_hours: it differs from line 2"),
        (
            changed("funnels", 2, window_hours="0"),
            "line 2, column window_hours: expected a whole number from 1 to 8760",
        ),
        (changed("funnels", 4, grain="account"), "line 4, column grain: it differs from line 3"),
        (changed("funnels", 4, held_property=""), "line 4, column held_property: it differs from line 3"),
        (changed("funnels", 4, held_property="ada@"), "line 4, column held_property: expected a property that"),
        (changed("funnels", 3, step="4"), "line 4, column step: step 2 of the funnel is missing"),
        (changed("funnels", 3, step="3"), "line 4, column step: line 3 declares the same"),
        (changed("funnels", 3, step="11"), "line 3, column step: expected a whole number from 1 to 10"),
        (without("funnels", 3, 4), "line 2, column step: a funnel has 2 to 10 steps"),
        (changed("funnels", 3, feature=""), "line 3, column event_name: expected an event_name, a feature, or both"),
        (changed("funnels", 3, feature="ada@"), "line 3, column feature: expected a feature of"),
        (changed("funnels", 3, step_name="ada@"), "line 3, column step_name: expected a letter or digit"),
        (changed("conversions", 2, lookback_days="366"), "conversions.csv, line 2, column lookback_days: expected a"),
        (with_more("conversions", event_name="signup"), "line 3, column conversion: line 2 declares the same"),
        (changed("experiments", 2, ends_on="2025-12-31"), "experiments.csv, line 2, column ends_on: it is before"),
        (changed("experiments", 2, min_sample="19"), "line 2, column min_sample: expected a whole number from 20"),
        (changed("experiments", 2, min_days="0"), "line 2, column min_days: expected a whole number from 1"),
        (changed("experiments", 2, control="a"), "line 2, column control: experiment_variants.csv has no such"),
        (changed("experiments", 2, variant_property="items"), "line 2, column variant_property: expected a property"),
        (
            changed("experiments", 2, experiment="ada"),
            "line 2, column experiment: the vocabulary of experiment_property",
        ),
        (
            changed("experiment_variants", 3, variant="ada"),
            "experiment_variants.csv, line 3, column variant: the vocab",
        ),
        (changed("experiment_variants", 3, weight="-1"), "line 3, column weight: expected a whole number from 1"),
        (changed("experiment_variants", 3, tenant_id="*"), "line 2, column experiment: it has 1 variants; 2 to 10"),
        (with_more("experiment_variants", experiment="ada"), "line 4, column experiment: experiments.csv has no such"),
    ],
)
def test_an_error_says_where_it_is(files: dict[str, list[dict[str, str]]], expected: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, files)
    message = str(caught.value)
    assert expected in message
    assert "ada" not in message
    assert len(message.splitlines()) == 1


def test_any_tenant_may_have_rules_where_any_may_send_events(tmp_path: Path) -> None:
    assert read(tmp_path, changed("conversions", 2, tenant_id="another"), ("acme", "*"))["conversions"].num_rows == 1


def test_what_the_shipped_seeds_and_policies_let_through_is_known(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.csv").write_text("source_format,field,word\n*,event_name,signup\n*,properties.plan,pro\n")
    (tmp_path / "feature_catalog.csv").write_text("source_format,raw_feature,feature\nx,Search!,search\n")
    decisions = [{"field": "properties.plan", "action": action} for action in ("keep_listed", "drop")] + [
        {"field": "properties.items", "action": "keep"},
        {"field": "properties.note", "action": "drop"},
    ]
    assert Known.read(tmp_path, decisions) == Known(
        frozenset({"signup"}), frozenset({"search"}), {"plan": frozenset({"pro"}), "items": frozenset()}
    )
    assert Known.read(tmp_path, decisions[1:]).properties == {"items": frozenset()}


def test_whom_the_files_name_is_found_before_it_is_erased(tmp_path: Path) -> None:
    put(tmp_path, changed("internal_users", 2, tenant_id="gone"))
    write(tmp_path, ACME | {"tenant_id": "*"})
    tenants = registry.load(tmp_path)
    assert tenant_ids(tmp_path) == {"acme", "gone", "*"}
    assert listed_ids(tmp_path, tenants, "gone") == {2: ("Ada@example.com", None), 3: (None, "ada@phone")}
    assert list(listed_ids(tmp_path, tenants, "acme")) == [3]
