import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.errors import BadInput, QuorumError, Refused
from quorum.overrides import budget, release_overrides
from quorum.policy import Spec, count_scale, resolve, sensitivity, version
from quorum.settings import project_directory

PROJECT = project_directory()
SHIPPED_BUDGETS = PROJECT / "seeds/policy/budgets.csv"
MODELS = yaml.safe_load((PROJECT / "models/release/_release__models.yml").read_text("utf-8"))["models"]
DECLARED: dict[str, Any] = next(m["config"]["meta"]["release"] for m in MODELS if m["name"] == "dp_feature_usage")
SPEC = resolve(DECLARED, {})


def one_line(error: pytest.ExceptionInfo[QuorumError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def weekly(**change: Any) -> dict[str, Any]:
    """Return the declaration with a change to what its weeks say."""
    return DECLARED | {"periods": {"week": DECLARED["periods"]["week"] | change}}


BELOW_THE_FLOORS = [
    ("min_tenants", DECLARED | {"min_tenants": 4}),
    ("tenant_cap", DECLARED | {"tenant_cap": 9}),
    ("tenant_cap", DECLARED | {"tenant_cap": 0}),
    ("rho", weekly(rho_atoms="0.0401")),
    ("rho", weekly(rho_parents="0.0301")),
    ("rho", DECLARED | {"default_period": "day", "periods": {"day": DECLARED["periods"]["week"]}}),
    ("rho_atoms", weekly(rho_atoms="0")),
    ("rho_parents", weekly(rho_parents="-0.01")),
    ("rho_atoms", weekly(rho_atoms="NaN")),
    ("rho_atoms", weekly(rho_atoms="Infinity")),
    ("max_cells", weekly(max_cells=0)),
    ("history", weekly(history=0)),
    ("atom_min_contributors", DECLARED | {"atom_min_contributors": 0}),
    ("value_scale", DECLARED | {"value_scale": 10_001}),
    ("value_scale", DECLARED | {"value_scale": 0}),
    ("delta", DECLARED | {"delta": "1.1e-7"}),
    ("delta", DECLARED | {"delta": "NaN"}),
    ("gate_z", DECLARED | {"gate_z": "5.59"}),
    ("gate_z", DECLARED | {"gate_z": "Infinity"}),
    ("tolerance_points", DECLARED | {"tolerance_points": 6.01}),
    ("period", DECLARED | {"default_period": "month", "periods": {"month": DECLARED["periods"]["week"]}}),
]


@pytest.mark.parametrize(("name", "declared"), BELOW_THE_FLOORS)
def test_a_declaration_below_a_floor_is_refused_by_name(name: str, declared: dict[str, Any]) -> None:
    with pytest.raises(Refused) as error:
        resolve(declared, {})
    assert one_line(error).startswith(f"release feature_usage: {name} is ")


LOOSER: list[tuple[str, Any]] = [
    ("rho_atoms", "0.0201"),
    ("rho_parents", 0.011),
    ("delta", "1e-6"),
    ("tolerance_points", 7),
    ("history", 5),
    ("min_tenants", 4),
    ("gate_z", 5.5),
    ("atom_min_contributors", 19),
    ("rho_atoms", "Infinity"),
    ("gate_z", "-Infinity"),
]


@pytest.mark.parametrize(("name", "value"), LOOSER)
def test_an_override_may_not_loosen(name: str, value: Any) -> None:
    with pytest.raises(Refused) as error:
        resolve(DECLARED, {name: value})
    assert one_line(error).startswith(f"policy/releases.yml: release feature_usage: {name} may only be ")


STRICTER: list[tuple[str, Any]] = [
    ("rho_atoms", "0.0199"),
    ("rho_parents", 0.005),
    ("delta", "5e-8"),
    ("tolerance_points", 5.5),
    ("history", 1),
    ("min_tenants", 8),
    ("gate_z", 6),
    ("atom_min_contributors", 21),
]


@pytest.mark.parametrize(("name", "value"), STRICTER)
def test_an_override_may_tighten(name: str, value: Any) -> None:
    assert resolve(DECLARED, {name: value}) == replace(SPEC, **{name: type(getattr(SPEC, name))(str(value))})


UNREADABLE: list[tuple[str, Any]] = [
    ("rho_atoms", "a little"),
    ("rho_atoms", True),
    ("rho_atoms", None),
    ("rho_atoms", ["0.01"]),
    ("rho_atoms", math.nan),
    ("gate_z", "sNaN"),
    ("history", 2.5),
    ("history", "NaN"),
    ("history", math.inf),
    ("history", False),
    ("period", "month"),
    ("period", ""),
    ("period", None),
]


@pytest.mark.parametrize(("name", "value"), UNREADABLE)
def test_an_override_that_cannot_be_read_is_told_by_name(name: str, value: Any) -> None:
    with pytest.raises(BadInput) as error:
        resolve(DECLARED, {name: value})
    assert f"release feature_usage: {name} must be " in one_line(error)


@pytest.mark.parametrize("name", ["tenant_cap", "max_cells", "value_scale", "unit", "population", "keys", "name", "x"])
def test_an_override_may_not_say_anything_else(name: str) -> None:
    with pytest.raises(BadInput) as error:
        resolve(DECLARED, {name: 1})
    assert one_line(error) == f"policy/releases.yml: release feature_usage: {name} cannot be set here"


def test_an_override_chooses_among_the_declared_periods() -> None:
    daily = resolve(DECLARED, {"period": "day"})
    assert (daily.period, daily.rho, daily.max_cells) == ("day", Decimal("0.0070"), 2)
    with pytest.raises(Refused, match=r"rho_atoms may only be lower than 0\.0045"):
        resolve(DECLARED, {"period": "day", "rho_atoms": "0.02"})


@pytest.mark.parametrize("change", [{"tenant_limit": 3}, {"tenant_cap": "many"}, {"tenant_cap": 50.5}])
def test_a_declaration_that_does_not_fit_is_told(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as error:
        resolve(DECLARED | change, {})
    assert next(iter(change)) in one_line(error)


@pytest.mark.parametrize(
    "text",
    ["", "releases:", "releases: []", "releases: {usage: 5}", "usage: {}", "releases: {}\nmore: {}", "releases: ["],
)
def test_a_file_of_overrides_has_one_shape(tmp_path: Path, text: str) -> None:
    (tmp_path / "releases.yml").write_text(text)
    with pytest.raises(BadInput) as error:
        release_overrides(tmp_path)
    assert one_line(error).startswith("policy/releases.yml: ")


def test_overrides_are_read_by_release(tmp_path: Path) -> None:
    assert release_overrides(tmp_path) == {}
    (tmp_path / "releases.yml").write_text("releases: {feature_usage: {period: day}}")
    assert release_overrides(tmp_path) == {"feature_usage": {"period": "day"}}


class TestBudgets:
    def read(self, folder: Path, row: str) -> dict[Any, Decimal]:
        (folder / "budgets.csv").write_text(f"population,time_window,rho\n{row}\n")
        return dict(budget("product_users", folder, SHIPPED_BUDGETS).limits)

    @pytest.mark.parametrize("row", ["week,0.0500001", "quarter,0.66", "year,1000", "year,Infinity"])
    def test_a_higher_budget_is_refused(self, tmp_path: Path, row: str) -> None:
        with pytest.raises(Refused) as error:
            self.read(tmp_path, f"product_users,{row}")
        assert one_line(error) == "policy/budgets.csv line 2: a budget may only be lower than the shipped one"

    @pytest.mark.parametrize("row", ["week,much", "week,0", "week,-0.01", "month,0.01", "week,NaN"])
    def test_a_budget_that_makes_no_sense_is_told(self, tmp_path: Path, row: str) -> None:
        with pytest.raises(BadInput) as error:
            self.read(tmp_path, f"product_users,{row}")
        one_line(error)

    def test_a_budget_for_nobody_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput):
            self.read(tmp_path, "product_user,week,0.01")

    def test_a_lower_budget_holds(self, tmp_path: Path) -> None:
        shipped = {"week": Decimal("0.05"), "quarter": Decimal("0.65"), "year": Decimal("2.6")}
        assert budget("product_users", tmp_path, SHIPPED_BUDGETS).limits == shipped
        assert self.read(tmp_path, "product_users,quarter,0.1") == shipped | {"quarter": Decimal("0.1")}


class TestPeriods:
    @pytest.mark.parametrize(
        ("as_of", "first", "after_last"),
        [
            (date(2026, 3, 29), date(2026, 3, 2), date(2026, 3, 30)),  # a Sunday closes its week
            (date(2026, 3, 28), date(2026, 2, 23), date(2026, 3, 23)),
            (date(2026, 3, 30), date(2026, 3, 2), date(2026, 3, 30)),
            (date(2026, 1, 1), date(2025, 12, 1), date(2025, 12, 29)),
            (date(2026, 1, 4), date(2025, 12, 8), date(2026, 1, 5)),  # the first ISO week of 2026
        ],
    )
    def test_weeks_are_closed_iso_weeks(self, as_of: date, first: date, after_last: date) -> None:
        periods = SPEC.periods(as_of)
        assert (periods[0][0], periods[-1][1], len(periods)) == (first, after_last, 4)

    def test_a_day_is_closed_when_it_is_over(self) -> None:
        daily = replace(resolve(DECLARED, {"period": "day"}), history=2)
        assert daily.periods(date(2024, 2, 29)) == [
            (date(2024, 2, 28), date(2024, 2, 29)),
            (date(2024, 2, 29), date(2024, 3, 1)),
        ]

    @given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(1, 60), st.sampled_from(["week", "day"]))
    def test_they_follow_each_other_and_none_is_open(self, as_of: date, history: int, period: str) -> None:
        periods = replace(resolve(DECLARED, {"period": period}), history=history).periods(as_of)
        assert len(periods) == history
        assert all(end == following for (_, end), (following, _) in pairwise(periods))
        assert {end - start for start, end in periods} == {timedelta(days=7 if period == "week" else 1)}
        assert period == "day" or all(start.isoweekday() == 1 for start, _ in periods)
        # the last is the last that is over
        assert periods[-1][1] <= as_of + timedelta(days=1) < periods[-1][1] + (periods[-1][1] - periods[-1][0])


class TestDigests:
    # a week and a day differ in their slots; the keys themselves stand in the place of their name
    @pytest.mark.parametrize("name", [f.name for f in fields(Spec) if f.name not in ("period", "keys")])
    def test_whatever_decides_the_meaning_changes_the_digest(self, name: str) -> None:
        value = getattr(SPEC, name)
        other = {str: f"{value} too", int: 2 * value, Decimal: value}[type(value)]
        if isinstance(value, Decimal):
            other = value + 1 if name == "gate_z" else value / 2
        changed = replace(SPEC, **{name: other})
        assert changed.digest(["a"]) != SPEC.digest(["a"])
        limits = budget(SPEC.population, Path("nowhere"), SHIPPED_BUDGETS)
        assert version([changed], [limits]) != version([SPEC], [limits])

    def test_so_do_the_keys(self) -> None:
        assert SPEC.digest(["a"]) == replace(SPEC).digest(["a"]) != SPEC.digest(["a", "b"])


Unit = frozenset[int]  # one user: the features that it used


def vector(contributors: Iterable[Sequence[Unit]], spec: Spec, key_count: int) -> list[int]:
    """Compute an atom's vector as models/release/dp_feature_usage.sql does."""
    cap, scale, count, cells = spec.tenant_cap, spec.value_scale, 0, [0] * key_count
    for units in contributors:
        totals = [0] * key_count
        for unit in units:
            full = len(unit) <= spec.max_cells
            weight = scale if full else math.floor(scale * math.sqrt(spec.max_cells / len(unit)))
            for key in unit:
                totals[key] += weight
        count += count_scale(spec, key_count) * min(len(units), cap)
        cells = [cell + cap * total // max(len(units), cap) for cell, total in zip(cells, totals, strict=True)]
    return [count, *cells]


def distance(others: Sequence[Unit], unit: Unit, spec: Spec, key_count: int) -> float:
    """Return how far a contributor's vector moves when one more user comes, or goes."""
    return math.dist(vector([others], spec, key_count), vector([[*others, unit]], spec, key_count))


def bounds(cap: int, key_count: int, max_cells: int, scale: int) -> Spec:
    """Return a spec of these bounds; with a small cap it takes many tenants to stay above the floor."""
    spec = replace(SPEC, tenant_cap=cap, min_tenants=max(5, -(-50 // cap)), max_cells=max_cells, value_scale=scale)
    return spec.bounded(key_count)


class TestSensitivity:
    def test_the_vector_is_that_of_the_unit_test_of_the_model(self) -> None:
        spec = replace(SPEC, tenant_cap=2, min_tenants=25, max_cells=1)
        big = [frozenset({0}), frozenset({0}), frozenset[int](), frozenset[int]()]
        assert vector([big, [frozenset(range(4))]], spec, 4)[1:] == [1500, 500, 500, 500]

    @settings(max_examples=500, deadline=None)
    @given(st.data())
    def test_no_small_world_moves_further_than_declared(self, data: st.DataObject) -> None:
        key_count = data.draw(st.integers(1, 8))
        cap = data.draw(st.integers(1, 6))
        spec = bounds(cap, key_count, data.draw(st.integers(1, key_count)), data.draw(st.integers(1, 1000)))
        users = st.frozensets(st.integers(0, key_count - 1))
        others = data.draw(st.lists(users, max_size=2 * cap + 2))
        unit = data.draw(users)
        assert distance(others, unit, spec, key_count) <= sensitivity(spec, key_count)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_other_contributors_neither_add_nor_hide(self, data: st.DataObject) -> None:
        spec = bounds(3, 4, 1, 1000)
        users = st.frozensets(st.integers(0, 3))
        beside, others = (data.draw(st.lists(users, max_size=8)) for _ in range(2))
        unit = data.draw(users)
        together = math.dist(vector([beside, others], spec, 4), vector([beside, [*others, unit]], spec, 4))
        assert together == distance(others, unit, spec, 4)

    @pytest.mark.parametrize(
        ("cap", "key_count", "max_cells"),
        [(50, 10, 5), (50, 22, 5), (50, 55, 5), (10, 10, 4), (1, 6, 2), (10, 30, 1), (7, 3, 1), (50, 1, 1)],
    )
    def test_the_worst_case_touches_the_bound(self, cap: int, key_count: int, max_cells: int) -> None:
        spec = bounds(cap, key_count, max_cells, 1000)
        declared = sensitivity(spec, key_count)
        worst = {"below": 0.0, "at": 0.0}
        theirs_or_its = range(min(key_count, 2 * spec.max_cells) + 1)
        for others, theirs, its in product((0, cap - 1, cap, cap + 1), theirs_or_its, theirs_or_its):
            crowd = [frozenset(range(theirs))] * others
            moved = distance(crowd, frozenset(range(key_count - its, key_count)), spec, key_count)
            case = "below" if others < cap else "at"
            worst[case] = max(worst[case], moved)
        assert max(worst.values()) <= declared
        # so a bound planted a tenth too small is found
        assert max(worst.values()) > 0.99 * declared
        # and where cells are bounded, neither case leaves room: that is what count_scale is for
        if 2 * max_cells < key_count and cap > 1:
            assert min(worst.values()) > 0.85 * declared

    def test_rounding_alone_can_move_every_cell_by_one(self) -> None:
        spec = replace(bounds(8, 8, 1, 1), max_cells=1)
        others = [frozenset({key}) for key in range(8)]
        without_rounding = math.sqrt(spec.max_cells + count_scale(spec, 8) ** 2)
        assert distance(others, frozenset(), spec, 8) == math.sqrt(8) > without_rounding
        assert sensitivity(spec, 8) > math.sqrt(8)

    def test_the_border_of_the_cap_belongs_to_both_sides(self) -> None:
        spec, everything = bounds(3, 4, 1, 1000), frozenset(range(4))
        below = distance([everything] * 2, everything, spec, 4)  # two others: the third still counts
        at_cap = distance([everything] * 3, everything, spec, 4)
        assert below == math.sqrt(4 * 500**2 + count_scale(spec, 4) ** 2)
        assert at_cap == 0

    @pytest.mark.parametrize(("key_count", "bounded"), [(1, 1), (5, 5), (10, 10), (11, 5), (55, 5)])
    def test_from_half_of_the_keys_on_nothing_is_bounded(self, key_count: int, bounded: int) -> None:
        assert SPEC.bounded(key_count).max_cells == bounded

    @given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 20), st.integers(1, 10_000))
    def test_the_count_takes_what_the_cap_leaves_free(
        self, cap: int, key_count: int, max_cells: int, scale: int
    ) -> None:
        spec = bounds(cap, key_count, max_cells, scale)
        chosen = count_scale(spec, key_count)
        assert chosen >= scale
        if chosen > scale:  # then it costs nothing, and a grain more would
            free = (scale * cap) ** 2 * min(2 * spec.max_cells, key_count)
            used = [(spec.max_cells * scale**2 + s**2) * (cap + 1) ** 2 for s in (chosen, chosen + 1)]
            assert used[0] <= free < used[1]

    def test_a_weight_is_never_rounded_up(self) -> None:
        """The proof needs squares that add up to no more than max_cells, also where a square root is a float."""
        for max_cells, cells in product(range(1, 40), range(1, 400)):
            if cells > max_cells:
                weight = math.floor(10_000 * math.sqrt(max_cells / cells))
                assert weight**2 * cells <= max_cells * 10_000**2


def test_laxer_shipped_budgets_are_refused(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped.csv"
    for rows in ("u,week,0.06\nu,quarter,0.65\nu,year,2.6", "u,week,0.05\nu,quarter,0.65"):
        shipped.write_text(f"population,time_window,rho\n{rows}\n")
        with pytest.raises(Refused):
            budget("u", tmp_path, shipped)
