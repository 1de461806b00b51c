import math
import re
from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum import mechanisms
from quorum.errors import Refused
from quorum.measurement import ALL, Cells, Cohort, Plan, cells_from, eligible_atoms, measure, refused
from quorum.policy import Spec, sensitivity
from quorum.settings import project_directory

KEYS = ("export", "search", "share")
SPEC = Spec(
    name="usage",
    population="users",
    unit="one user",
    estimand="a share",
    keys="catalog",
    period="week",
    rho_atoms=Decimal("0.02"),
    rho_parents=Decimal("0.01"),
    max_cells=3,
    history=4,
    min_tenants=5,
    tenant_cap=50,
    atom_min_contributors=20,
    value_scale=1000,
    delta=Decimal("1e-7"),
    gate_z=Decimal("5.6"),
    tolerance_points=Decimal(6),
)
PLAN = Plan.of(SPEC, len(KEYS))
QUORUM = SPEC.quorum * PLAN.count_scale
HUGE = 10**12


def atom(name: str) -> Cohort:
    return Cohort(f"{name}/eu/small", "atom", name, "eu", "small")


LARGE, MEDIUM, SMALL = atom("large"), atom("medium"), atom("small")
CELLS = Cells(
    KEYS,
    {
        SMALL: (QUORUM - 1, 90, 91, 92),
        LARGE: (4 * QUORUM, 4_000, 5_000, 6_000),
        MEDIUM: (3 * QUORUM, 70, 0, 71),
    },
)
ELIGIBLE = frozenset({LARGE.key, MEDIUM.key})


def none(values: Sequence[int], _scale: float) -> list[int]:
    return list(values)


def huge(values: Sequence[int], _scale: float) -> list[int]:
    return [value + HUGE for value in values]


def by_cohort(answer: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(cohort["level"], cohort["key"]): cohort for cohort in answer["cohorts"]}


class TestGate:
    @pytest.mark.parametrize("drawn", [0, HUGE, -HUGE])
    def test_no_noise_lifts_an_atom_below_the_quorum(self, drawn: int) -> None:
        assert eligible_atoms(SPEC, PLAN, [QUORUM - 1, 0], [QUORUM + drawn, QUORUM + drawn]) == [False, False]

    def test_an_atom_that_is_a_quorum_must_also_look_like_one(self) -> None:
        bar = QUORUM + math.ceil(5.6 * PLAN.atom_scale)
        assert eligible_atoms(SPEC, PLAN, [QUORUM] * 3, [QUORUM, bar - 1, bar]) == [False, False, True]

    @given(st.floats(min_value=100, max_value=1e6), st.integers(-1, 1))
    def test_the_draw_passes_exactly_where_its_tail_is_counted(self, scale: float, beside: int) -> None:
        # mechanisms.tail counts from here on; one integer earlier, delta_gate would be told too low
        first = math.ceil(Fraction(5.6) * Fraction(scale))
        passed = eligible_atoms(SPEC, replace(PLAN, atom_scale=scale), [QUORUM], [QUORUM + first + beside])
        assert passed == [beside >= 0]

    def test_a_float_would_pass_too_early(self) -> None:
        scale = math.nextafter(10_000 * 5.6 / Fraction(5.6), math.inf)
        first = math.ceil(Fraction(5.6) * Fraction(scale))
        assert QUORUM + first - 1 >= QUORUM + 5.6 * scale, "else this test shows nothing"
        assert eligible_atoms(SPEC, replace(PLAN, atom_scale=scale), [QUORUM], [QUORUM + first - 1]) == [False]

    def test_the_gate_is_drawn_from_the_noise_of_the_answer(self) -> None:
        assert measure(SPEC, PLAN, CELLS, noise=none)[0] == ELIGIBLE
        assert measure(SPEC, PLAN, CELLS, noise=huge)[0] == ELIGIBLE
        sunk = measure(SPEC, PLAN, CELLS, noise=lambda values, _scale: [value - HUGE for value in values])
        assert sunk[0] == frozenset()

    def test_a_draw_is_used_again_whatever_the_noise_says(self) -> None:
        drawn = frozenset({MEDIUM.key})
        eligible, answer = measure(SPEC, PLAN, CELLS, drawn, noise=huge)
        assert eligible == drawn
        assert {key for (_, key), cohort in by_cohort(answer).items() if cohort["eligible"]} == {MEDIUM.key, "*/*/*"}


class TestParents:
    def test_the_parent_is_the_sum_over_eligible_atoms(self) -> None:
        _, answer = measure(SPEC, PLAN, CELLS, noise=none)
        assert by_cohort(answer)[ALL, "*/*/*"]["values"] == [7 * SPEC.quorum, 4.07, 5.0, 6.071]

    @pytest.mark.parametrize(
        ("drawn", "isolated"),
        [(None, False), (frozenset({LARGE.key, MEDIUM.key, SMALL.key}), True)],
        ids=["eligible atoms", "planted bug: all atoms"],
    )
    def test_who_is_in_no_eligible_atom_is_in_no_parent(self, drawn: frozenset[str] | None, isolated: bool) -> None:
        without = Cells(KEYS, CELLS.atoms | {SMALL: (0, 0, 0, 0)})
        parents = [measure(SPEC, PLAN, cells, drawn, none)[1]["cohorts"][-1] for cells in (CELLS, without)]
        assert (parents[0] != parents[1]) is isolated

    def test_an_atom_in_transition_is_in_no_figure(self) -> None:
        """Withheld like one that is no quorum, with the same noise on all others, and left out of the parent."""
        changed = replace(CELLS, in_transition=frozenset({MEDIUM.key}))
        for drawn in (None, ELIGIBLE):
            eligible, answer = measure(SPEC, PLAN, changed, drawn, none)
            assert eligible == {LARGE.key}
            cohorts = by_cohort(answer)
            assert cohorts["atom", MEDIUM.key] == cohorts["atom", SMALL.key] | asdict(MEDIUM)
            assert cohorts[ALL, "*/*/*"]["values"] == cohorts["atom", LARGE.key]["values"]

    def test_each_stage_is_one_vector_with_the_noise_of_its_own_rho(self) -> None:
        calls: list[tuple[list[int], float]] = []

        def recorded(values: Sequence[int], scale: float) -> list[int]:
            calls.append((list(values), scale))
            return list(values)

        measure(SPEC, PLAN, CELLS, noise=recorded)
        in_order = [value for each in (LARGE, MEDIUM, SMALL) for value in CELLS.atoms[each]]
        sums = [CELLS.atoms[LARGE][i] + CELLS.atoms[MEDIUM][i] for i in range(4)]
        assert calls == [(in_order, PLAN.atom_scale), (sums, PLAN.parent_scale)]

    def test_without_eligible_atoms_there_is_no_parent(self) -> None:
        eligible, answer = measure(SPEC, PLAN, Cells(KEYS, {SMALL: CELLS.atoms[SMALL]}))
        assert eligible == frozenset()
        assert by_cohort(answer)[ALL, "*/*/*"]["values"] is None


class TestAnswer:
    def test_figures_are_in_users_and_withheld_below_a_quorum(self) -> None:
        _, answer = measure(SPEC, PLAN, CELLS, noise=none)
        cohorts = by_cohort(answer)
        assert cohorts["atom", LARGE.key]["values"] == [4 * SPEC.quorum, 4.0, 5.0, 6.0]
        assert cohorts["atom", SMALL.key]["values"] is None
        assert {key: cohort["eligible"] for key, cohort in cohorts.items()} == {
            ("atom", LARGE.key): True,
            ("atom", MEDIUM.key): True,
            ("atom", SMALL.key): False,
            (ALL, "*/*/*"): True,
        }
        assert answer["keys"] == list(KEYS)

    def test_sigmas_are_public_and_the_same_for_whom_it_concerns_or_not(self) -> None:
        _, answer = measure(SPEC, PLAN, CELLS)
        *atoms, parent = answer["cohorts"]
        sigma = PLAN.sensitivity / math.sqrt(2 * 0.02) / 1000
        assert [cohort["sigmas"] for cohort in atoms] == [atoms[0]["sigmas"]] * 3
        assert atoms[0]["sigmas"] == pytest.approx([sigma * 1000 / PLAN.count_scale, sigma, sigma, sigma])
        assert parent["sigmas"] == pytest.approx([value * math.sqrt(2) for value in atoms[0]["sigmas"]])

    def test_the_noise_is_real_unless_a_test_says_otherwise(self) -> None:
        first, second = (measure(SPEC, PLAN, CELLS)[1]["cohorts"][0]["values"] for _ in range(2))
        assert first != second
        assert first == pytest.approx([4 * SPEC.quorum, 4, 5, 6], abs=8 * PLAN.atom_scale / 1000)

    def test_a_refused_answer_has_the_same_cohorts_and_no_figure(self) -> None:
        _, answer = measure(SPEC, PLAN, CELLS)
        empty = refused(SPEC, CELLS)
        assert by_cohort(empty).keys() == by_cohort(answer).keys()
        assert empty["keys"] == answer["keys"]
        assert empty["mechanism"] is None
        for cohort in empty["cohorts"]:
            assert (cohort["eligible"], cohort["values"], cohort["sigmas"]) == (False, None, None)


class TestPlan:
    def test_noise_is_scaled_to_the_sensitivity_and_each_rho(self) -> None:
        assert PLAN.sensitivity == sensitivity(SPEC, 3)
        assert PLAN.atom_scale == pytest.approx(PLAN.sensitivity / math.sqrt(2 * 0.02))
        assert PLAN.parent_scale == pytest.approx(PLAN.sensitivity / math.sqrt(2 * 0.01))
        assert PLAN.delta_gate == mechanisms.tail(5.6, PLAN.atom_scale)

    def test_a_stricter_gate_fails_less_often(self) -> None:
        strict = Plan.of(replace(SPEC, gate_z=Decimal(7)), 3)
        assert strict.delta_gate < PLAN.delta_gate / 1000
        assert astuple(strict)[:-1] == astuple(PLAN)[:-1]

    def test_a_delta_that_the_gate_alone_uses_up_is_refused_before_anything_is_spent(self) -> None:
        with pytest.raises(Refused, match=r"release usage: delta is 1E-8, .* raise gate_z$"):
            Plan.of(replace(SPEC, delta=Decimal("1e-8")), 3)
        assert Plan.of(replace(SPEC, delta=Decimal("1e-8"), gate_z=Decimal(6)), 3).delta_gate < 1e-8


ROW = {
    "cohort_key": SMALL.key,
    "cohort_industry": "small",
    "cohort_region": "eu",
    "cohort_size_band": "small",
    "is_in_transition": False,
}


class TestCells:
    def test_rows_become_vectors_in_the_order_of_the_keys(self) -> None:
        rows: list[dict[str, Any]] = [
            {"cohort_key": SMALL.key, "metric": "adopters", "key": "share", "value": 3},
            {"cohort_key": SMALL.key, "metric": "active_users", "key": None, "value": 9},
            {"cohort_key": SMALL.key, "metric": "adopters", "key": "export", "value": 1},
            {"cohort_key": SMALL.key, "metric": "adopters", "key": "search", "value": 2},
        ]
        assert cells_from(rows, [ROW], KEYS) == Cells(KEYS, {SMALL: (9, 1, 2, 3)})

    def test_an_atom_without_rows_is_empty_and_still_there(self) -> None:
        assert cells_from([], [ROW], KEYS) == Cells(KEYS, {SMALL: (0, 0, 0, 0)})

    def test_what_the_registry_withholds_comes_along(self) -> None:
        assert cells_from([], [ROW | {"is_in_transition": True}], KEYS).in_transition == {SMALL.key}

    def test_a_key_outside_the_keyset_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            cells_from([{"cohort_key": SMALL.key, "metric": "adopters", "key": "x", "value": 1}], [ROW], KEYS)

    @pytest.mark.parametrize("vector", [(), (1, 2, 3), (1, 2, 3, 4, 5)])
    def test_a_vector_of_another_length_is_refused(self, vector: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="the count and one cell per key"):
            Cells(KEYS, {SMALL: vector})


class TestPrivacyModel:
    PAGE = (project_directory() / "docs" / "privacy-model.md").read_text("utf-8")

    def test_the_privacy_model_names_tests_that_exist(self) -> None:
        folders = [project_directory() / name for name in ("python", "models", "macros")]
        files = [file for folder in folders for file in folder.rglob("*") if file.suffix in (".py", ".sql", ".yml")]
        code = "\n".join(file.read_text("utf-8") for file in files)
        named = set(re.findall(r"`(?:\w+\.)?(\w+_\w*)`", self.PAGE))
        assert len([name for name in named if name.startswith("test_")]) > 50
        known = {
            name for name in named if re.search(rf"def {name}\(" if name.startswith("test_") else rf"\b{name}\b", code)
        }
        assert named - known == set()

    def test_the_table_of_losses_is_what_the_code_computes(self) -> None:
        rows = re.findall(r"^\| (0\.\d+) \| (\d+) \| ([\d.]+) \| (\S+) \|$", self.PAGE, re.MULTILINE)
        assert len(rows) == 6
        gate = Plan.of(SPEC.bounded(10), 10).delta_gate
        for rho, weeks, epsilon, delta in rows:
            # as `quorum ledger` converts
            assert f"{mechanisms.epsilon(int(weeks) * Decimal(rho), 9e-8):.2f}" == epsilon
            assert f"{9e-8 + int(weeks) * gate:.2e}" == delta.replace("e-7", "e-07")
