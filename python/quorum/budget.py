"""What may be asked and what it may cost: slots, costs and budgets, in exact decimals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Context, Decimal, Inexact
from functools import reduce
from typing import Any, Literal, get_args

from quorum.errors import BadInput, Refused
from quorum.hash_chain import digest

Period = Literal["day", "week"]
Window = Literal["week", "quarter", "year", "lifetime"]
WINDOWS: tuple[Window, ...] = get_args(Window)

WARNING_SHARE = Decimal("0.8")

DAYS: Mapping[str, int] = {"day": 1, "week": 7}
_PLACES = 30
_EXACT = Context(prec=60, traps=[Inexact])  # a sum of amounts with 30 places never needs more digits


class BudgetExhausted(Refused):
    """A cost does not fit into one window of a budget; ``window`` is its label, the rest is rho."""

    def __init__(self, population: str, window: str, spent: Decimal, limit: Decimal, asked: Decimal) -> None:
        super().__init__(
            f"population {population} has spent rho {spent} of {limit} in {window}: {asked} more is refused"
        )
        self.window, self.spent, self.limit, self.asked = window, spent, limit, asked


@dataclass(frozen=True)
class Slot:
    """One question about one closed period, answered at most once; never about single cells."""

    population: str
    release: str
    period: Period
    start: date
    end: date  # exclusive
    spec: str  # hash of the release's declaration
    policy: str  # hash of the policy it runs under

    def __post_init__(self) -> None:
        for name in ("population", "release", "spec", "policy"):
            if not getattr(self, name):
                raise BadInput(f"a slot needs a {name}")
        if self.period not in DAYS:
            raise BadInput(f"a period is one of {', '.join(DAYS)}, not {self.period!r}")
        if self.end - self.start != timedelta(DAYS[self.period]):
            raise BadInput(f"{self.start} to {self.end} is not one {self.period}")
        if self.period == "week" and self.start.isoweekday() != 1:
            raise BadInput(f"a week starts on a Monday, not on {self.start}")

    @property
    def key(self) -> str:
        """The SHA-256 of all fields: the same question has the same key on any machine."""
        return digest(self.facts())

    def facts(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> Slot:
        days = {name: date.fromisoformat(facts[name]) for name in ("start", "end")}
        return cls(**{**facts, **days})


@dataclass(frozen=True)
class Cost:
    """What one answer costs: rho of zCDP, and the delta of the gate draw it makes (0 for none)."""

    rho: Decimal
    delta_gate: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        _require_exact("rho", self.rho)
        _require_exact("delta_gate", self.delta_gate)
        if self.rho == 0:
            raise BadInput("rho must be above 0: an answer without noise is not for sale")
        if self.delta_gate >= 1:
            raise BadInput(f"delta_gate must be below 1, not {self.delta_gate}")


@dataclass(frozen=True)
class Budget:
    """The rho that each unit of one population may lose per calendar window of its data."""

    population: str
    limits: Mapping[Window, Decimal]

    def __post_init__(self) -> None:
        if not self.limits:
            raise BadInput(f"population {self.population} needs a limit for at least one window")
        for window, limit in self.limits.items():
            if window not in WINDOWS:
                raise BadInput(f"a window is one of {', '.join(WINDOWS)}, not {window!r}")
            _require_exact(f"the limit of a {window}", limit)
            if limit == 0:
                raise BadInput(f"the limit of a {window} must be above 0")

    def check(self, slot: Slot, cost: Cost, spent: Mapping[Window, Decimal]) -> None:
        """Raise BudgetExhausted unless the cost still fits; ``spent`` is rho in the slot's windows so far."""
        if slot.population != self.population:
            raise BadInput(f"the budget of {self.population} cannot pay for {slot.population}")
        for window, limit in self.limits.items():
            if total((spent[window], cost.rho)) > limit:
                name = label(window, slot.start)
                raise BudgetExhausted(self.population, name, spent[window], limit, cost.rho)


def label(window: Window, day: date) -> str:
    """Name the window that a period starting on ``day`` belongs to: 2026-W13, 2026-Q1, 2026 or lifetime."""
    if window == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    if window == "quarter":
        return f"{day.year}-Q{(day.month + 2) // 3}"
    return str(day.year) if window == "year" else window


def next_start(window: Window, day: date) -> date | None:
    """Return the first day after the window of ``day``: periods from then on have new room. None for a lifetime."""
    if window == "week":
        return day - timedelta(day.weekday()) + timedelta(7)
    if window == "quarter":
        return date(day.year + day.month // 10, (day.month + 2) // 3 * 3 % 12 + 1, 1)
    return date(day.year + 1, 1, 1) if window == "year" else None


def is_nearly_spent(window: Window, spent: Decimal, limit: Decimal) -> bool:
    """Tell whether it is time to warn whoever plans the releases; releases are fitted to a week, and use it up."""
    return window != "week" and spent >= WARNING_SHARE * limit


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add up without rounding, whatever the caller's decimal context is."""
    return reduce(_EXACT.add, amounts, Decimal(0))


def _require_exact(name: str, amount: Decimal) -> None:
    """Refuse what ``total`` could not add exactly; a float never was the number it shows."""
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise BadInput(f"{name} must be a finite decimal, not {amount!r}")
    places = -int(amount.as_tuple().exponent)
    if not 0 <= amount < 10**9 or places > _PLACES:
        raise BadInput(f"{name} must lie in [0, 10^9) with at most {_PLACES} places, not {amount}")
