"""Selections of keys as they are declared, which metrics may name their keys and when, and what is shown of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quorum import answers, policy, release
from quorum.budget import Budget, Cost, Slot
from quorum.errors import BadInput, QuorumError, Refused
from quorum.key_selection import SELECTED, known
from quorum.ledger import Answer, Gate, Ledger
from quorum.metrics import Metric
from quorum.policy import Spec
from tests.specs import DECLARED_SELECTION as DECLARED
from tests.specs import SELECTION as SPEC
from tests.specs import SPEC as USAGE

MONDAY = date(2026, 3, 2)


class TestDeclaration:
    def test_a_selection_has_one_stage_and_no_cohorts(self) -> None:
        assert SPEC.is_selection
        assert SPEC.rho == Decimal("0.005")
        assert SPEC.rho_parents == 0
        assert not SPEC.levels
        assert not USAGE.is_selection

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"levels": ["all"]}, "a selection of keys has no levels"),
            ({"segments": ["a"]}, "a selection of keys has no segments"),
            ({"tolerance_points": 3}, "a selection of keys has no tolerance_points"),
            (
                {"periods": {"week": {"rho_atoms": "0.005", "rho_parents": "0.1", "history": 2}}},
                "a selection of keys has no rho_parents",
            ),
            ({"metrics": [*DECLARED["metrics"], {"name": "n", "kind": "count", "estimand": "e"}]}, "of its own"),
            ({"metrics": [DECLARED["metrics"][0] | {"max_cells": 0}]}, "max_cells must be at least 1"),
            ({"metrics": [DECLARED["metrics"][0] | {"keys": ["a"]}]}, "a keys has estimand, max_cells"),
            ({"tenant_cap": 9}, "tenant_cap is 9"),
            ({"min_tenants": 4}, "min_tenants is 4"),
            ({"gate_z": 5}, "gate_z is 5"),
            ({"periods": {"week": {"rho_atoms": "0.051", "history": 2}}}, "rho is 0.051"),
        ],
    )
    def test_a_looser_or_meaningless_one_is_refused(self, change: dict[str, Any], words: str) -> None:
        with pytest.raises(QuorumError, match=words):
            policy.resolve(DECLARED | change, {})

    def test_an_override_gives_no_rebate(self) -> None:
        for name in policy.OF_FIGURES:
            with pytest.raises(BadInput, match=f"{name} cannot be set here"):
                policy.resolve(DECLARED, {name: "-0.001"})
        with pytest.raises(Refused, match=r"rho_parents is -0.001"):
            replace(SPEC, rho_parents=Decimal("-0.001"))
        assert policy.resolve(DECLARED, {"rho_atoms": "0.001"}).rho == Decimal("0.001")


def week(number: int) -> date:
    return MONDAY + timedelta(weeks=number)


def answer(number: int, *keys: str, name: str = "page_keys") -> Answer:
    slot = Slot("users", name, "week", week(number), week(number + 1), "spec", "policy")
    return Answer(f"{name} {number}", slot, {SELECTED: list(keys)} if name == "page_keys" else {})


class TestKnown:
    def test_they_are_those_of_the_newest_period_that_is_over_and_has_any(self) -> None:
        given = [answer(2, "c"), answer(0, "a"), answer(1, "b"), answer(3)]
        found = [known([SPEC, USAGE], given, week(number))["page_keys"] for number in range(6)]
        assert found == [[], ["a"], ["b"], ["c"], ["c"], ["c"]]

    def test_a_release_of_figures_has_none(self) -> None:
        assert known([USAGE], [answer(0, name="usage")], week(1)) == {}


PAGES = replace(
    USAGE,
    name="page_usage",
    history=2,
    metrics=(Metric("visited", "distinct_users", "a share", keys="page_keys", max_cells=3),),
)
AS_OF = week(2) - timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")


def due(ledger: Ledger, specs: list[Spec], key_sets: dict[str, list[str]] | None = None) -> list[tuple[str, date]]:
    found = release.due_releases(ledger, specs, key_sets or {}, AS_OF, "policy")
    return [(each.spec.name, each.start) for each in found]


def give(ledger: Ledger, number: int, keys: Sequence[str]) -> None:
    """Answer the selection of a week."""
    [asked] = [each for each in release.due_releases(ledger, [SPEC], {}, AS_OF, "policy") if each.start == week(number)]
    reservation = ledger.reserve(asked.slot, Cost(SPEC.rho, asked.delta_gate), Budget("users", {"year": Decimal(1)}))
    ledger.commit(reservation, answers.selection(SPEC, keys), Gate("map", frozenset(keys)))


class TestDue:
    def test_a_metric_waits_for_an_earlier_selection(self, ledger: Ledger) -> None:
        selections = [("page_keys", week(0)), ("page_keys", week(1))]
        assert due(ledger, [SPEC, PAGES]) == selections
        give(ledger, 0, ["/home", "/reports"])
        # its own week's keys come too late for a week
        assert due(ledger, [SPEC, PAGES]) == [("page_keys", week(1)), ("page_usage", week(1))]
        give(ledger, 1, ["/other"])
        [asked] = release.due_releases(ledger, [SPEC, PAGES], {}, AS_OF, "policy")
        assert [cell.key for cell in asked.layout.cells] == ["/home", "/reports"]

    def test_a_selection_without_a_key_leaves_nothing_to_ask(self, ledger: Ledger) -> None:
        give(ledger, 0, [])
        assert due(ledger, [SPEC, PAGES]) == [("page_keys", week(1))]

    def test_keys_of_nobody_are_refused(self, ledger: Ledger) -> None:
        with pytest.raises(BadInput, match="metric visited: there is no set of keys 'page_keys'"):
            due(ledger, [PAGES])

    def test_the_question_is_another_with_other_keys(self, ledger: Ledger) -> None:
        def spec_of(keys: list[str]) -> str:
            asked = release.due_releases(ledger, [PAGES], {"page_keys": keys}, AS_OF, "policy")
            return asked[0].slot.spec

        assert spec_of(["a"]) != spec_of(["b"])


class TestShown:
    def rows(self, keys: Sequence[str] | None) -> list[dict[str, Any]]:
        return answers._figures(answers.selection(SPEC, keys))

    def test_nothing_but_the_keys_is_kept_and_shown(self) -> None:
        assert answers.selection(SPEC, ["a"]).keys() == {"metrics", SELECTED, "mechanism"}
        rows = self.rows(["a", "b"])
        assert [row["key"] for row in rows] == ["a", "b"]
        numbers = {name for row in rows for name in answers._NUMBERS if row[name] is not None}
        assert numbers == {"error_points"}
        assert {row["error_points"] for row in rows} == {0.0}
        assert all(row["is_eligible"] and row["cohort_level"] == "all" for row in rows)

    @pytest.mark.parametrize("keys", [[], None], ids=["none passed", "refused"])
    def test_without_a_key_one_row_says_so(self, keys: list[str] | None) -> None:
        [row] = self.rows(keys)
        assert (row["key"], row["is_eligible"], row["error_points"]) == (None, False, None)
