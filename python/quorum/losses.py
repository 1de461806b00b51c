"""What has been lost: the ledger's rho as (epsilon, delta), of one unit and of a person who is several.

Proofs are in docs/privacy-model.md.
"""

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_UP, Decimal
from typing import Any

from quorum.budget import Cost, label, total
from quorum.ledger import Ledger, Usage
from quorum.mechanisms import epsilon, shifted_tail

# What the conversion from rho to epsilon takes of delta; the quorum gates of a window add theirs.
CONVERSION_DELTA = Decimal("9e-8")


def of_ledger(ledger: Ledger, units: int = 1) -> dict[str, Any]:
    """Return the loss per population and window; where ``units`` is above 1, also that of a person who is so many."""
    return {
        "deployment": ledger.identity,
        "entries": ledger.length,
        "units": units,
        "usage": [_row(each) | (_of_units(each, units) if units > 1 else {}) for each in ledger.report()],
        "warnings": warnings(ledger),
    }


def of_newest_periods(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the loss of each population in the windows of its newest period, the week first, the lifetime last."""
    return [_row(each) for each in _newest(ledger)]


def warnings(ledger: Ledger) -> list[str]:
    """Say of each population which of the windows of its newest period are nearly spent; older ones are past."""
    return [
        nearly_spent(each.population, each.label, each.spent, each.limit, each.refreshes)
        for each in _newest(ledger)
        if each.limit is not None and each.warning
    ]


def _newest(ledger: Ledger) -> list[Usage]:
    newest: dict[str, date] = {}
    for charge in ledger.charges():
        population, start = charge.slot.population, charge.slot.start
        newest[population] = max(start, newest.get(population, start))
    return [each for each in ledger.report() if each.label == label(each.window, newest[each.population])]


def nearly_spent(
    population: str, window: str, spent: Decimal, limit: Decimal, refreshes: date | None, verb: str = "has lost"
) -> str:
    """Put into words that a window has lost, or would have, most of what it may."""
    share = f"rho {spent} of {limit} in {window} ({spent / limit:.0%})"
    return f"population {population} {verb} {share}; {freed(refreshes)}"


def freed(refreshes: date | None) -> str:
    """Say what brings new room."""
    return f"periods from {refreshes} on have a new budget" if refreshes else "nothing frees a lifetime"


def _row(usage: Usage) -> dict[str, Any]:
    return {
        "population": usage.population,
        "window": usage.label,
        "rho": usage.spent,
        "limit": usage.limit,
        "epsilon": round(epsilon(usage.spent, float(CONVERSION_DELTA)), 2),
        "delta": CONVERSION_DELTA + usage.delta_gate,
        "warning": usage.warning,
        "refreshes": usage.refreshes,
    }


def _of_units(usage: Usage, units: int) -> dict[str, Any]:
    return {
        f"epsilon_of_{units}": round(epsilon(usage.spent * units**2, float(CONVERSION_DELTA)), 2),
        f"delta_of_{units}": min(CONVERSION_DELTA + gates_of_units(usage.draws, units), Decimal(1)),
    }


def gates_of_units(draws: Iterable[Cost], units: int) -> Decimal:
    """Return the delta that gate draws add for a person who is several units, rounded up.

    Of the atoms that these units are in, at most as many, each may pass by its noise alone; and their other units move
    its count by no more than they move the vector, which costs (units - 1)^2 * rho.
    """
    each = (units * shifted_tail(float(cost.delta_gate), cost.rho * (units - 1) ** 2) for cost in draws)
    return total(Decimal(delta).quantize(Decimal("1e-12"), rounding=ROUND_UP) for delta in each)
