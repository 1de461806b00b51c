"""What `quorum ledger` tells: the loss of one unit and of several, and when it is time to look."""

import math
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum import losses
from quorum.budget import Budget, Cost, Slot, Window, label, next_start
from quorum.ledger import Ledger
from quorum.mechanisms import epsilon, gaussian_scale, shifted_tail, tail

MONDAY = date(2026, 3, 23)
DRAW = Cost(Decimal("0.03"), Decimal("1.072e-8"))
LIMITS: dict[Window, Decimal] = {"week": Decimal("0.05"), "quarter": Decimal("0.065"), "lifetime": Decimal("0.075")}


def charge(ledger: Ledger, start: date, cost: Cost = DRAW, population: str = "users") -> None:
    slot = Slot(population, "adoption", "week", start, start + timedelta(7), "spec", "policy")
    ledger.reserve(slot, cost, Budget(population, LIMITS))


def windows(warnings: list[str]) -> list[str]:
    return [line.split(" in ")[1].split()[0] for line in warnings]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.sampled_from(["week", "quarter", "year"]))
def test_a_window_ends_where_the_next_begins(day: date, window: Window) -> None:
    refreshes = next_start(window, day)
    assert refreshes is not None
    assert label(window, refreshes - timedelta(1)) == label(window, day) != label(window, refreshes)


def test_a_lifetime_has_no_next() -> None:
    assert next_start("lifetime", MONDAY) is None


class TestSeveralUnits:
    def test_they_cost_the_square(self, ledger: Ledger) -> None:
        """As the page on privacy says: epsilon 2.6 for two, 4.0 for three, 7.2 for five."""
        charge(ledger, MONDAY)
        for units, stated in ((2, 2.6), (3, 4.0), (5, 7.2)):
            row = losses.of_ledger(ledger, units)["usage"][0]
            assert row["epsilon"] == 1.24
            assert row[f"epsilon_of_{units}"] == round(epsilon(units**2 * DRAW.rho, 9e-8), 2)
            assert round(row[f"epsilon_of_{units}"], 1) == stated
            assert row["delta"] < row[f"delta_of_{units}"] < 5e-5

    def test_of_one_there_is_nothing_more_to_say(self, ledger: Ledger) -> None:
        charge(ledger, MONDAY)
        found = losses.of_ledger(ledger)
        assert [row["window"] for row in found["usage"]] == ["2026-W13", "2026-Q1", "2026", "lifetime"]
        assert {name for row in found["usage"] for name in row if "_of_" in name} == set()

    def test_of_many_nothing_is_left(self, ledger: Ledger) -> None:
        charge(ledger, MONDAY)
        [row, *_] = losses.of_ledger(ledger, 1000)["usage"]
        assert row["delta_of_1000"] == 1

    def test_a_charge_without_a_gate_adds_no_delta(self, ledger: Ledger) -> None:
        charge(ledger, MONDAY, Cost(Decimal("0.03")))
        [row, *_] = losses.of_ledger(ledger, 3)["usage"]
        assert row["delta"] == row["delta_of_3"] == losses.CONVERSION_DELTA

    @pytest.mark.parametrize("units", [1, 2, 3, 5, 8])
    @pytest.mark.parametrize("rho", ["0.001", "0.02", "0.05"])
    def test_the_gate_passes_by_noise_no_more_often_than_that(self, rho: str, units: int) -> None:
        """The exact tail of the discrete Gaussian, for a count that moves as far as the whole vector may."""
        shift = 100
        scale = gaussian_scale(shift, Decimal(rho))
        bar = math.ceil(Fraction(5.6) * Fraction(scale)) - (units - 1) * shift
        reach = range(math.floor(-12 * scale), math.ceil(12 * scale) + 1)
        weights = {x: math.exp(-x * x / (2 * scale * scale)) for x in reach}
        exact = sum(weight for x, weight in weights.items() if x >= bar) / sum(weights.values())
        bound = shifted_tail(tail(5.6, scale), Decimal(rho) * (units - 1) ** 2)
        assert exact <= bound
        assert bound < 20 * exact


class TestWarnings:
    def test_at_four_fifths_of_a_window_there_is_one(self, ledger: Ledger) -> None:
        charge(ledger, MONDAY, Cost(Decimal("0.05")))  # all of a week, which is there to be used
        charge(ledger, MONDAY - timedelta(7), Cost(Decimal("0.0019")))
        assert losses.warnings(ledger) == []
        charge(ledger, MONDAY - timedelta(7), Cost(Decimal("0.0001")))
        assert losses.warnings(ledger) == [
            "population users has lost rho 0.0520 of 0.065 in 2026-Q1 (80%); "
            "periods from 2026-04-01 on have a new budget"
        ]

    def test_it_is_about_the_windows_of_the_newest_period(self, ledger: Ledger) -> None:
        charge(ledger, MONDAY, Cost(Decimal("0.05")))
        charge(ledger, MONDAY - timedelta(7), Cost(Decimal("0.01")))
        assert windows(losses.warnings(ledger)) == ["2026-Q1", "lifetime"]
        assert losses.warnings(ledger)[-1].endswith("nothing frees a lifetime")
        charge(ledger, MONDAY + timedelta(14), Cost(Decimal("0.001")))
        assert windows(losses.warnings(ledger)) == ["lifetime"]

    def test_each_population_has_its_own(self, ledger: Ledger) -> None:
        charge(ledger, MONDAY, Cost(Decimal("0.05")))
        charge(ledger, MONDAY - timedelta(7), Cost(Decimal("0.01")))
        charge(ledger, MONDAY + timedelta(28), Cost(Decimal("0.01")), "staff")
        assert {line.split()[1] for line in losses.warnings(ledger)} == {"users"}
