import itertools
import math
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum import mechanisms
from quorum.errors import Refused
from quorum.measurement import Cells, Cohort, Group, Noise, Plan, cells_from, eligible_groups, measure, refused
from quorum.policy import ATOM
from quorum.settings import project_directory
from tests.measured_world import all_pass
from tests.specs import SPEC

LAYOUT = SPEC.layout({})
PLAN = Plan.of(SPEC, LAYOUT)
QUORUM = SPEC.quorum * PLAN.count_scale
HUGE = 10**12
COUNTS = (0, 1, QUORUM - 1, QUORUM, 2 * QUORUM, 4 * QUORUM)


def atom(name: str, region: str = "eu") -> Cohort:
    return Cohort(f"{name}/{region}/small", ATOM, name, region, "small")


def union(industry: str = "*") -> Cohort:
    return Cohort(f"{industry}/*/*", "all" if industry == "*" else "industry", industry, "*", "*")


LARGE, MEDIUM, SMALL = atom("media"), atom("retail"), atom("retail", "us")
VECTORS = {
    LARGE: (4 * QUORUM, 4_000, 5_000, 6_000),
    MEDIUM: (3 * QUORUM, 70, 0, 71),
    SMALL: (QUORUM - 1, 90, 91, 92),
}
CELLS = Cells(
    tuple(VECTORS),
    {
        union(): frozenset(each.key for each in VECTORS),
        union("media"): frozenset({LARGE.key}),
        union("retail"): frozenset({MEDIUM.key, SMALL.key}),
    },
    (None,),
    {Group(each.key, None): vector for each, vector in VECTORS.items()},
)
ELIGIBLE = frozenset({LARGE.key, MEDIUM.key})


def none(values: Sequence[int], _scale: float) -> list[int]:
    return list(values)


def huge(values: Sequence[int], _scale: float) -> list[int]:
    return [value + HUGE for value in values]


def by_cohort(cohorts: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(cohort["level"], cohort["key"]): cohort for cohort in cohorts}


class TestGate:
    @pytest.mark.parametrize("drawn", [0, HUGE, -HUGE])
    def test_no_noise_lifts_an_atom_below_the_quorum(self, drawn: int) -> None:
        assert eligible_groups(SPEC, PLAN, [QUORUM - 1, 0], [QUORUM + drawn, QUORUM + drawn]) == [False, False]

    def test_an_atom_that_is_a_quorum_must_also_look_like_one(self) -> None:
        bar = QUORUM + math.ceil(5.6 * PLAN.atom_scale)
        assert eligible_groups(SPEC, PLAN, [QUORUM] * 3, [QUORUM, bar - 1, bar]) == [False, False, True]

    @given(st.floats(min_value=100, max_value=1e6), st.integers(-1, 1))
    def test_the_draw_passes_exactly_where_its_tail_is_counted(self, scale: float, beside: int) -> None:
        # mechanisms.tail counts from here on; one integer earlier, delta_gate would be told too low
        first = math.ceil(Fraction(5.6) * Fraction(scale))
        passed = eligible_groups(SPEC, replace(PLAN, atom_scale=scale), [QUORUM], [QUORUM + first + beside])
        assert passed == [beside >= 0]

    def test_a_float_would_pass_too_early(self) -> None:
        scale = math.nextafter(10_000 * 5.6 / Fraction(5.6), math.inf)
        first = math.ceil(Fraction(5.6) * Fraction(scale))
        assert QUORUM + first - 1 >= QUORUM + 5.6 * scale, "else this test shows nothing"
        assert eligible_groups(SPEC, replace(PLAN, atom_scale=scale), [QUORUM], [QUORUM + first - 1]) == [False]

    def test_the_gate_is_drawn_from_the_noise_of_the_answer(self) -> None:
        assert measure(SPEC, PLAN, CELLS, noise=none)[0] == ELIGIBLE
        assert measure(SPEC, PLAN, CELLS, noise=huge)[0] == ELIGIBLE
        sunk = measure(SPEC, PLAN, CELLS, noise=lambda values, _scale: [value - HUGE for value in values])
        assert sunk[0] == frozenset()

    def test_a_look_speaks_of_no_group_that_its_release_did_not_find(self) -> None:
        eligible, cohorts = measure(SPEC, PLAN, CELLS, frozenset({MEDIUM.key}), noise=huge)
        assert eligible == {MEDIUM.key}
        shown = {key for (_, key), cohort in by_cohort(cohorts).items() if cohort["noisy"]}
        assert shown == {MEDIUM.key, "retail/*/*", "*/*/*"}

    @given(st.lists(st.sampled_from(COUNTS), min_size=3, max_size=3), st.sampled_from([none, huge]))
    def test_a_look_after_rows_have_left_says_nothing_of_less_than_a_quorum(
        self, counts: list[int], noise: Noise
    ) -> None:
        """Whatever its release found before, and whatever the noise is: it looks at what is there now."""
        now: dict[Group, tuple[int, ...]] = {
            Group(each.key, None): (count, 1, 1, 1) for each, count in zip(VECTORS, counts, strict=True)
        }
        eligible, cohorts = measure(SPEC, PLAN, replace(CELLS, vectors=now), ELIGIBLE, noise)
        left = {each.key for each, count in zip(VECTORS, counts, strict=True) if count >= QUORUM}
        assert eligible <= left & ELIGIBLE
        for cohort in cohorts:
            assert set(cohort["members"]) <= eligible
            assert (cohort["noisy"] is not None) == bool(cohort["members"])


class TestParents:
    def test_a_parent_is_the_sum_over_its_eligible_atoms(self) -> None:
        cohorts = by_cohort(measure(SPEC, PLAN, CELLS, noise=none)[1])
        assert cohorts["all", "*/*/*"]["noisy"] == [7 * QUORUM, 4_070, 5_000, 6_071]
        assert cohorts["all", "*/*/*"]["members"] == sorted(ELIGIBLE)
        assert cohorts["industry", "retail/*/*"]["noisy"] == list(VECTORS[MEDIUM])

    @pytest.mark.parametrize(
        ("gate", "isolated"), [(nullcontext, False), (all_pass, True)], ids=["eligible atoms", "planted bug: all atoms"]
    )
    def test_who_is_in_no_eligible_atom_is_in_no_parent(self, gate: Callable[[], Any], isolated: bool) -> None:
        without = replace(CELLS, vectors=CELLS.vectors | {Group(SMALL.key, None): (0, 0, 0, 0)})
        with gate():
            parents = [measure(SPEC, PLAN, cells, None, none)[1][3:] for cells in (CELLS, without)]
        assert (parents[0] != parents[1]) is isolated

    def test_an_atom_in_transition_is_in_no_figure(self) -> None:
        """Withheld like one that is no quorum, with the same noise on all others, and left out of each parent."""
        changed = replace(CELLS, in_transition=frozenset({MEDIUM.key}))
        for among in (None, ELIGIBLE):
            eligible, cohorts = measure(SPEC, PLAN, changed, among, none)
            assert eligible == {LARGE.key}
            found = by_cohort(cohorts)
            assert found["atom", MEDIUM.key] == found["atom", SMALL.key] | asdict(MEDIUM)
            assert found["all", "*/*/*"]["noisy"] == found["atom", LARGE.key]["noisy"]
            assert found["industry", "retail/*/*"]["noisy"] is None

    def test_each_stage_is_one_vector_with_the_noise_of_its_own_rho(self) -> None:
        calls: list[tuple[list[int], float]] = []

        def recorded(values: Sequence[int], scale: float) -> list[int]:
            calls.append((list(values), scale))
            return list(values)

        measure(SPEC, PLAN, CELLS, noise=recorded)
        in_order = [value for vector in VECTORS.values() for value in vector]
        everyone = [VECTORS[LARGE][i] + VECTORS[MEDIUM][i] for i in range(4)]
        industries = [*VECTORS[LARGE], *VECTORS[MEDIUM]]
        assert calls == [
            (in_order, PLAN.atom_scale),
            (everyone, PLAN.scales["all"]),
            (industries, PLAN.scales["industry"]),
        ]

    def test_without_eligible_atoms_there_is_no_parent(self) -> None:
        eligible, cohorts = measure(SPEC, PLAN, CELLS, frozenset())
        assert eligible == frozenset()
        assert [cohort["noisy"] for cohort in cohorts] == [None] * 6

    def test_an_atom_in_two_parents_of_a_level_is_refused(self) -> None:
        twice = {**CELLS.parents, union("media"): frozenset({LARGE.key, MEDIUM.key})}
        with pytest.raises(ValueError, match="an atom is in two parents of level industry"):
            replace(CELLS, parents=twice)


class TestSegments:
    SPEC = replace(SPEC, segments=("week_1", "week_2"))
    CELLS = replace(
        CELLS,
        segments=("week_1", "week_2"),
        vectors={
            Group(each.key, segment): vector if segment == "week_1" else (QUORUM - 1, 1, 1, 1)
            for each, vector in VECTORS.items()
            for segment in ("week_1", "week_2")
        },
    )

    def test_each_segment_of_an_atom_passes_a_gate_of_its_own(self) -> None:
        eligible, cohorts = measure(self.SPEC, PLAN, self.CELLS, noise=none)
        assert eligible == {f"{LARGE.key} week_1", f"{MEDIUM.key} week_1"}
        assert {cohort["segment"] for cohort in cohorts if cohort["noisy"]} == {"week_1"}
        assert len(cohorts) == 12

    def test_a_parent_sums_one_segment(self) -> None:
        cohorts = measure(self.SPEC, PLAN, self.CELLS, noise=none)[1]
        [shown] = [each for each in cohorts if each["level"] == "all" and each["noisy"]]
        assert shown["noisy"] == [7 * QUORUM, 4_070, 5_000, 6_071]


class TestAnswer:
    def test_the_noise_is_real_unless_a_test_says_otherwise(self) -> None:
        first, second = (measure(SPEC, PLAN, CELLS)[1][0]["noisy"] for _ in range(2))
        assert first != second
        assert first == pytest.approx(VECTORS[LARGE], abs=8 * PLAN.atom_scale)

    def test_no_noise_is_used_twice(self) -> None:
        """Within an answer and between two: not even where the cells are equal."""
        equal = replace(CELLS, vectors=dict.fromkeys(CELLS.vectors, (9 * QUORUM, 5, 5, 5)))
        drawn: list[int] = []
        for _ in range(2):
            for cohort in measure(SPEC, PLAN, equal)[1]:
                one = cohort["noisy"]
                drawn += [value - 5 * len(cohort["members"]) for value in one[1:]]
        assert len(set(drawn)) == len(drawn) == 2 * 6 * 3

    def test_a_refused_answer_has_the_same_cohorts_and_no_figure(self) -> None:
        cohorts, empty = measure(SPEC, PLAN, CELLS)[1], refused(CELLS)
        assert by_cohort(empty).keys() == by_cohort(cohorts).keys()
        assert all((cohort["members"], cohort["noisy"]) == ([], None) for cohort in empty)


class TestPlan:
    def test_noise_is_scaled_to_the_sensitivity_and_each_rho(self) -> None:
        assert PLAN.sensitivity == LAYOUT.sensitivity
        assert PLAN.atom_scale == pytest.approx(PLAN.sensitivity / math.sqrt(2 * 0.02))
        # two levels share the rho of the parents
        each = pytest.approx(PLAN.sensitivity / math.sqrt(2 * 0.005))
        assert PLAN.parent_scales == {"all": each, "industry": each}
        assert PLAN.delta_gate == mechanisms.tail(5.6, PLAN.atom_scale)

    def test_levels_share_by_the_users_that_are_wanted(self) -> None:
        """No other split of the parents' rho has less error in sum, each in units of what it may be."""
        wanted = {"atom": 500, "industry": 900, "all": 2700}
        spec = replace(SPEC, wanted_users=wanted)
        assert spec.rho_of_levels == {"all": Decimal("0.0025"), "industry": Decimal("0.0075")}
        plan = Plan.of(spec, LAYOUT)
        assert plan.atom_scale == PLAN.atom_scale
        assert plan.scales["all"] == pytest.approx(PLAN.scales["all"] * math.sqrt(2))

        def error(part: float) -> float:
            shares = {"all": part, "industry": 1 - part}
            return sum(1 / (shares[level] * wanted[level] ** 2) for level in shares)

        assert error(0.25) == min(error(part / 100) for part in range(1, 100))

    def test_levels_never_cost_more_than_is_charged(self) -> None:
        for users in itertools.product((1, 3, 7, 10**6), repeat=2):
            spec = replace(SPEC, wanted_users={"atom": 1, **dict(zip(SPEC.levels, users, strict=True))})
            parts = spec.rho_of_levels.values()
            assert SPEC.rho_parents - Decimal("1e-14") < sum(parts) <= SPEC.rho_parents
            assert min(parts) > 0

    def test_a_stricter_gate_fails_less_often(self) -> None:
        strict = Plan.of(replace(SPEC, gate_z=Decimal(7)), LAYOUT)
        assert strict.delta_gate < PLAN.delta_gate / 1000
        assert replace(strict, delta_gate=0) == replace(PLAN, delta_gate=0)

    def test_a_delta_that_the_gate_alone_uses_up_is_refused_before_anything_is_spent(self) -> None:
        with pytest.raises(Refused, match=r"release usage: delta is 1E-8, .* raise gate_z$"):
            Plan.of(replace(SPEC, delta=Decimal("1e-8")), LAYOUT)
        assert Plan.of(replace(SPEC, delta=Decimal("1e-8"), gate_z=Decimal(6)), LAYOUT).delta_gate < 1e-8


def row(cohort: Cohort, atom: Cohort, **more: Any) -> dict[str, Any]:
    return {
        "cohort_level": cohort.level,
        "cohort_key": cohort.key,
        "cohort_industry": cohort.industry,
        "cohort_region": cohort.region,
        "cohort_size_band": cohort.size_band,
        "atom_key": atom.key,
        "is_in_transition": False,
        **more,
    }


def value(metric: str, key: str | None, value: int) -> dict[str, Any]:
    return {"cohort_key": SMALL.key, "segment": None, "metric": metric, "key": key, "value": value}


class TestCells:
    ROWS: ClassVar = [row(SMALL, SMALL), row(union(), SMALL)]

    def test_rows_become_vectors_in_the_order_of_the_layout(self) -> None:
        rows = [value("adoption", "share", 3), value("active_users", None, 9), value("adoption", "export", 1)]
        found = cells_from(rows, self.ROWS, SPEC, LAYOUT)
        assert found.vectors == {Group(SMALL.key, None): (9, 1, 0, 3)}
        assert found.parents == {union(): frozenset({SMALL.key})}

    def test_an_atom_without_rows_is_empty_and_still_there(self) -> None:
        assert cells_from([], self.ROWS, SPEC, LAYOUT).vectors == {Group(SMALL.key, None): (0, 0, 0, 0)}

    def test_segments_are_told_apart(self) -> None:
        spec = replace(SPEC, segments=("a", "b"))
        found = cells_from([value("active_users", None, 9) | {"segment": "b"}], self.ROWS, spec, LAYOUT)
        assert found.vectors == {Group(SMALL.key, "a"): (0, 0, 0, 0), Group(SMALL.key, "b"): (9, 0, 0, 0)}

    def test_what_the_registry_withholds_comes_along(self) -> None:
        rows = [row(SMALL, SMALL, is_in_transition=True)]
        assert cells_from([], rows, SPEC, LAYOUT).in_transition == {SMALL.key}

    def test_a_level_that_the_release_does_not_ask_for_is_left_out(self) -> None:
        assert cells_from([], self.ROWS, replace(SPEC, levels=("industry",)), LAYOUT).parents == {}

    def test_a_key_outside_the_keyset_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            cells_from([value("adoption", "x", 1)], self.ROWS, SPEC, LAYOUT)

    def test_an_atom_without_a_vector_is_refused(self) -> None:
        with pytest.raises(ValueError, match="each atom has a vector per segment"):
            replace(CELLS, segments=("week_1",))


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
        gate = PLAN.delta_gate
        for rho, weeks, epsilon, delta in rows:
            # as `quorum ledger` converts
            assert f"{mechanisms.epsilon(int(weeks) * Decimal(rho), 9e-8):.2f}" == epsilon
            gates = int(weeks) * (5 if rho == "0.05" else 1)
            assert f"{9e-8 + gates * gate:.2e}" == re.sub(r"e-(\d)$", r"e-0\1", delta)
