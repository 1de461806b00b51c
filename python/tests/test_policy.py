import ast
import math
import re
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quorum.errors import BadInput, QuorumError, Refused
from quorum.overrides import budget, release_overrides
from quorum.policy import LEVELS, Spec, resolve, version
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
    ("rho", weekly(rho_parents="0.0351")),
    ("rho", DECLARED | {"default_period": "day", "periods": {"day": DECLARED["periods"]["week"]}}),
    ("rho_atoms", weekly(rho_atoms="0")),
    ("rho_parents", weekly(rho_parents="-0.01")),
    ("rho_atoms", weekly(rho_atoms="NaN")),
    ("rho_atoms", weekly(rho_atoms="Infinity")),
    ("history", weekly(history=0)),
    ("atom_min_contributors", DECLARED | {"atom_min_contributors": 0}),
    ("lookback_days", DECLARED | {"lookback_days": 92}),
    ("lookback_days", DECLARED | {"lookback_days": -1}),
    ("levels", DECLARED | {"levels": []}),
    ("levels", DECLARED | {"levels": ["all", "country"]}),
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
    ("rho_parents", 0.0151),
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
    ("rho_atoms", "0.0149"),
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


@pytest.mark.parametrize(
    "name", ["tenant_cap", "metrics", "segments", "levels", "lookback_days", "unit", "population", "name", "x"]
)
def test_an_override_may_not_say_anything_else(name: str) -> None:
    with pytest.raises(BadInput) as error:
        resolve(DECLARED, {name: 1})
    assert one_line(error) == f"policy/releases.yml: release feature_usage: {name} cannot be set here"


def test_an_override_chooses_among_the_declared_periods() -> None:
    daily = resolve(DECLARED, {"period": "day"})
    assert (daily.period, daily.rho, daily.history) == ("day", Decimal("0.0042"), 1)
    with pytest.raises(Refused, match=r"rho_atoms may only be lower than 0\.0021"):
        resolve(DECLARED, {"period": "day", "rho_atoms": "0.02"})


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_limit": 3},
        {"tenant_cap": "many"},
        {"tenant_cap": 50.5},
        {"metrics": []},
        {"segments": "week_1"},
        {"segments": ["week_1", "week_1"]},
        {"levels": ["all", 5]},
    ],
)
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

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"population,time_window,rho\n\xff", " is no CSV in UTF-8"),
            (b'population,time_window,rho\n"x"y,', " is no CSV in UTF-8"),
            (b"who,time_window,rho\n", " line 1: expected the columns population,time_window,rho"),
            (b"population,time_window,rho\n\nusers,week", " line 2: it has too few or too many fields"),
        ],
    )
    def test_what_is_no_such_file_is_told(self, tmp_path: Path, content: bytes, said: str) -> None:
        (tmp_path / "budgets.csv").write_bytes(content)
        with pytest.raises(BadInput) as error:
            budget("product_users", tmp_path, SHIPPED_BUDGETS)
        assert one_line(error) == f"policy/budgets.csv{said}"

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
    KEYS: ClassVar = {"feature_catalog": ["a"]}

    # a week and a day differ in their slots
    @pytest.mark.parametrize("name", [f.name for f in fields(Spec) if f.name != "period"])
    def test_whatever_decides_the_meaning_changes_the_digest(self, name: str) -> None:
        value = getattr(SPEC, name)
        match value:
            case str():
                other: Any = f"{value} too"
            case int():
                other = 2 * value + 1
            case tuple():
                other = value[:-1] or ("week_1",) if name != "metrics" else ()
            case dict():
                other = dict.fromkeys(("atom", *SPEC.levels), 100)
            case _:
                other = value + 1 if name == "gate_z" else value / 2
        changed = replace(SPEC, **{name: other})
        assert changed.digest(changed.layout(self.KEYS)) != SPEC.digest(SPEC.layout(self.KEYS))
        limits = budget(SPEC.population, Path("nowhere"), SHIPPED_BUDGETS)
        assert version([changed], [limits]) != version([SPEC], [limits])

    def test_so_do_the_keys(self) -> None:
        first, second = (SPEC.digest(SPEC.layout({"feature_catalog": keys})) for keys in (["a"], ["a", "b"]))
        assert first == replace(SPEC).digest(SPEC.layout(self.KEYS)) != second


def test_the_levels_are_those_of_the_cohort_map() -> None:
    unions = (PROJECT / "models/cross_tenant/cohort_unions.sql").read_text("utf-8")
    [levels] = re.findall(r"set levels = (\{.*?\n\}) -%", unions, re.DOTALL)
    assert ast.literal_eval(levels).keys() == LEVELS


def test_laxer_shipped_budgets_are_refused(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped.csv"
    for rows in ("u,week,0.06\nu,quarter,0.65\nu,year,2.6", "u,week,0.05\nu,quarter,0.65"):
        shipped.write_text(f"population,time_window,rho\n{rows}\n")
        with pytest.raises(Refused):
            budget("u", tmp_path, shipped)
