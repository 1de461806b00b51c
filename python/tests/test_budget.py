from dataclasses import replace
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.budget import Budget, BudgetExhausted, Cost, Slot, Window, label, total
from quorum.errors import BadInput

SLOT = Slot("users", "adoption", "week", date(2026, 3, 23), date(2026, 3, 30), "spec", "policy")


@pytest.mark.parametrize(
    ("day", "week", "quarter", "year"),
    [
        (date(2026, 3, 23), "2026-W13", "2026-Q1", "2026"),
        (date(2025, 12, 29), "2026-W01", "2025-Q4", "2025"),  # the ISO year is ahead of the calendar
        (date(2027, 1, 1), "2026-W53", "2027-Q1", "2027"),  # or behind it
        (date(2026, 6, 30), "2026-W27", "2026-Q2", "2026"),
        (date(2026, 7, 1), "2026-W27", "2026-Q3", "2026"),
    ],
)
def test_windows_are_those_of_the_calendar(day: date, week: str, quarter: str, year: str) -> None:
    windows: list[Window] = ["week", "quarter", "year", "lifetime"]
    assert [label(window, day) for window in windows] == [week, quarter, year, "lifetime"]


@settings(deadline=None)
@given(st.lists(st.decimals(min_value=0, max_value=10**8, places=30, allow_nan=False), max_size=50))
def test_totals_never_round(amounts: list[Decimal]) -> None:
    with localcontext(prec=3):  # a caller's context must not matter
        added = total(amounts)
    assert Fraction(added) == sum(map(Fraction, amounts))


def test_a_tenth_and_two_tenths_are_three_tenths() -> None:
    assert total([Decimal("0.1"), Decimal("0.2")]) == Decimal("0.3")
    assert 0.1 + 0.2 != 0.3, "floats would refuse the last reservation that fits"


@pytest.mark.parametrize("amount", [0.05, 1, "0.05", Decimal("NaN"), Decimal("Infinity"), Decimal("-0.1"), None])
def test_only_exact_amounts_are_money(amount: Any) -> None:
    with pytest.raises(BadInput, match="rho"):
        Cost(amount)
    with pytest.raises(BadInput, match="limit of a week"):
        Budget("users", {"week": amount})


@pytest.mark.parametrize(
    ("rho", "delta_gate"), [("0", "0"), ("0.05", "1"), ("1e9", "0"), ("0.05", "1e-31"), ("0.05", "-1e-8")]
)
def test_costs_out_of_range_are_refused(rho: str, delta_gate: str) -> None:
    with pytest.raises(BadInput):
        Cost(Decimal(rho), Decimal(delta_gate))


def test_a_budget_needs_known_windows_with_room() -> None:
    for limits in ({}, {"week": Decimal(0)}, {"month": Decimal(1)}):
        with pytest.raises(BadInput):
            Budget("users", limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"population": ""},
        {"release": ""},
        {"spec": ""},
        {"policy": ""},
        {"period": "month"},
        {"end": date(2026, 3, 29)},
        {"period": "day"},
        {"start": date(2026, 3, 24), "end": date(2026, 3, 31)},
    ],
)
def test_a_slot_is_one_named_closed_period(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        replace(SLOT, **change)


def test_a_slot_key_is_stable_and_sees_every_field() -> None:
    # Were it ever to change, answers would be drawn a second time.
    assert SLOT.key == "654e86e14a8643ac63ae7f827b35821878ebc5c69b9d5f618396459e6fe6043f"
    others = [
        replace(SLOT, population="x"),
        replace(SLOT, release="x"),
        replace(SLOT, spec="x"),
        replace(SLOT, policy="x"),
        replace(SLOT, start=date(2026, 3, 30), end=date(2026, 4, 6)),
        replace(SLOT, period="day", end=date(2026, 3, 24)),
    ]
    assert len({slot.key for slot in [SLOT, *others]}) == 7
    assert Slot.parse(SLOT.facts()) == SLOT


def test_the_full_limit_can_be_spent_and_not_a_grain_more() -> None:
    budget = Budget("users", {"week": Decimal("0.3"), "year": Decimal("9")})
    spent: dict[Window, Decimal] = {"week": Decimal("0.1"), "year": Decimal("0.1")}
    budget.check(SLOT, Cost(Decimal("0.2")), spent)
    with pytest.raises(BudgetExhausted) as caught:
        budget.check(SLOT, Cost(Decimal("0.2000000000000000000000000001")), spent)
    assert caught.value.window == "2026-W13"
    assert (caught.value.spent, caught.value.limit) == (Decimal("0.1"), Decimal("0.3"))
    assert caught.value.asked == Decimal("0.2000000000000000000000000001")


def test_one_population_does_not_pay_for_another() -> None:
    with pytest.raises(BadInput, match="cannot pay"):
        Budget("staff", {"year": Decimal(1)}).check(SLOT, Cost(Decimal("0.1")), {"year": Decimal(0)})
