"""Policy: what is declared, what the workspace may change about it, and the floors below which nothing goes.

A release is declared beside its model (``config.meta.release``). A workspace's ``policy/releases.yml`` may make it
stricter or choose among the periods that it declares. The floors stand in code, so that no variable, environment,
profile, seed or package can move them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from quorum import bounding, metrics
from quorum.bounding import Layout
from quorum.budget import Budget
from quorum.errors import BadInput, Refused
from quorum.metrics import Metric

MIN_TENANTS = 5
MIN_QUORUM = 50  # users: min_tenants * tenant_cap
MAX_RHO = {"day": Decimal("0.0072"), "week": Decimal("0.05")}  # about the same a week
MAX_DELTA = Decimal("1e-7")
MIN_GATE_Z = Decimal("5.6")
MAX_TOLERANCE_POINTS = Decimal(6)
MAX_LOOKBACK_DAYS = 91
# of unions of atoms, as models/cross_tenant/cohort_unions.sql makes them
LEVELS = {"all", "industry", "sector", "wider_region"}
ATOM = "atom"  # the level below them
MAX_BUDGET = {"week": Decimal("0.05"), "quarter": Decimal("0.65"), "year": Decimal("2.6")}


@dataclass(frozen=True)
class Spec:
    """A release as it will be made: every number that bounds or noises it. Rho is zCDP per period."""

    name: str
    population: str
    owner: str
    unit: str
    period: str
    lookback_days: int  # before the period, whose events count too
    segments: tuple[str, ...]  # public groups that each unit is in one of; none is one group of all
    levels: tuple[str, ...]  # of the parents that are measured beside the atoms
    rho_atoms: Decimal
    rho_parents: Decimal
    history: int
    min_tenants: int
    tenant_cap: int
    atom_min_contributors: int
    delta: Decimal
    gate_z: Decimal
    tolerance_points: Decimal
    metrics: tuple[Metric, ...]
    # from how many users on a figure should be within the tolerance, by level; empty where all are wanted alike
    wanted_users: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def source(self) -> str:
        """The release whose model it is measured by, and whose groups it keeps to: itself."""
        return self.name

    @property
    def is_selection(self) -> bool:
        """Whether it selects keys; then it has one stage and no cohorts, and ``OF_FIGURES`` say nothing."""
        return any(metric.is_selection for metric in self.metrics)

    def __post_init__(self) -> None:
        self._floor(self.period in MAX_RHO, "period", "day or week")
        for name in ("history", "min_tenants", "tenant_cap", "atom_min_contributors"):
            self._floor(getattr(self, name) >= 1, name, "at least 1")
        self._floor(0 <= self.lookback_days <= MAX_LOOKBACK_DAYS, "lookback_days", f"from 0 to {MAX_LOOKBACK_DAYS}")
        if self.is_selection:
            self._floor(self.rho_parents == 0 and not self.levels, "rho_parents", "0 for a selection, with no levels")
        else:
            self._floor(self.rho_parents.is_finite() and self.rho_parents > 0, "rho_parents", "a positive number")
            self._floor({*self.levels} <= LEVELS and bool(self.levels), "levels", f"among {', '.join(sorted(LEVELS))}")
        for name in ("rho_atoms", "delta", "gate_z", "tolerance_points"):
            value = getattr(self, name)
            self._floor(value.is_finite() and value > 0, name, "a positive number")
        wanted = self.wanted_users
        self._floor(
            not wanted or ({ATOM, *self.levels} <= {*wanted} <= {ATOM, *LEVELS} and min(wanted.values()) >= 1),
            "wanted_users",
            f"at least 1 for each of {', '.join((ATOM, *self.levels))}",
        )
        self._floor(self.min_tenants >= MIN_TENANTS, "min_tenants", f"at least {MIN_TENANTS}")
        self._floor(self.quorum >= MIN_QUORUM, "tenant_cap", f"at least {MIN_QUORUM} users for min_tenants together")
        self._floor(self.rho <= MAX_RHO[self.period], "rho", f"at most {MAX_RHO[self.period]} a {self.period}")
        self._floor(self.delta <= MAX_DELTA, "delta", f"at most {MAX_DELTA}")
        self._floor(self.gate_z >= MIN_GATE_Z, "gate_z", f"at least {MIN_GATE_Z}")
        self._floor(
            self.tolerance_points <= MAX_TOLERANCE_POINTS,
            "tolerance_points",
            f"at most {MAX_TOLERANCE_POINTS}",
        )

    def _floor(self, holds: bool, name: str, bound: str) -> None:
        if not holds:
            raise Refused(f"release {self.name}: {name} is {getattr(self, name)}, the floor in code is {bound}")

    @property
    def rho(self) -> Decimal:
        return self.rho_atoms + self.rho_parents

    @property
    def rho_of_levels(self) -> dict[str, Decimal]:
        """The part of ``rho_parents`` that each level of parents gets.

        Errors at users u fall with u * sqrt(rho), so parts that are inverse to the wanted users make the sum of
        squared errors the least. Rounded down, so that the levels together cost no more than is charged.
        """
        weights = {level: 1 / Decimal(self.wanted_users.get(level, 1)) for level in sorted(self.levels)}
        whole = sum(weights.values())
        return {
            level: (self.rho_parents * weight / whole).quantize(Decimal("1e-15"), rounding=ROUND_FLOOR)
            for level, weight in weights.items()
        }

    @property
    def quorum(self) -> int:
        """Tenant-weighted users below which a cohort is not eligible."""
        return self.min_tenants * self.tenant_cap

    def layout(self, key_sets: Mapping[str, Sequence[str]]) -> Layout:
        """Return the coordinates of what is measured, for the public keys as they are now."""
        return bounding.layout(self.metrics, key_sets, self.tenant_cap)

    def digest(self, layout: Layout) -> str:
        """Return a hash of everything that decides what the answer means."""
        return _digest({**asdict(self), "layout": asdict(layout)})

    def periods(self, as_of: date) -> list[tuple[date, date]]:
        """Return the last closed periods as (first day, day after the last), oldest first. Calendar only, UTC."""
        end = as_of + timedelta(days=1)
        length = timedelta(days=1)
        if self.period == "week":
            end -= timedelta(days=end.weekday())
            length = timedelta(days=7)
        return [(end - length * n, end - length * (n - 1)) for n in range(self.history, 0, -1)]


# What a selection of keys leaves out, and what stands there instead.
OF_FIGURES: dict[str, Any] = {
    "segments": (),
    "levels": (),
    "rho_parents": Decimal(0),
    "atom_min_contributors": 1,
    "tolerance_points": MAX_TOLERANCE_POINTS,
}
# What policy/releases.yml may say of a release, and in which direction.
_STRICTER = {
    "rho_atoms": "lower",
    "rho_parents": "lower",
    "delta": "lower",
    "tolerance_points": "lower",
    "history": "lower",
    "min_tenants": "higher",
    "gate_z": "higher",
    "atom_min_contributors": "higher",
}
_INTEGERS = ("lookback_days", "history", "min_tenants", "tenant_cap", "atom_min_contributors")
_DECIMALS = ("rho_atoms", "rho_parents", "delta", "gate_z", "tolerance_points")


def resolve(declared: Mapping[str, Any], override: Mapping[str, Any]) -> Spec:
    """Return the spec that a declaration and a workspace's override give.

    Raises BadInput for what cannot be read, Refused for what would loosen the declaration or a floor.
    """
    name = str(declared.get("name"))
    parsed = metrics.parse(name, declared.get("metrics"))
    is_selection = any(metric.is_selection for metric in parsed)
    unknown = {str(key) for key in override} - set(_STRICTER) - {"period"}
    unknown |= {str(key) for key in override} & set(OF_FIGURES if is_selection else ())
    if unknown:
        raise BadInput(f"policy/releases.yml: release {name}: {min(unknown)} cannot be set here")
    periods = declared["periods"]
    period = override.get("period", declared["default_period"])
    if not isinstance(period, str) or period not in periods:
        raise BadInput(f"policy/releases.yml: release {name}: period must be one of {', '.join(sorted(periods))}")

    values = {k: v for k, v in declared.items() if k not in ("periods", "default_period")} | periods[period]
    values = {key: _number(name, key, value) for key, value in values.items()}
    values["metrics"] = parsed
    if is_selection:
        if told := set(OF_FIGURES) & set(values):
            raise BadInput(f"release {name}: a selection of keys has no {min(told)}")
        values |= OF_FIGURES
    else:
        for key in ("segments", "levels"):
            values[key] = _names(name, key, declared.get(key, []))
    values.setdefault("lookback_days", 0)
    values["wanted_users"] = _users(name, declared.get("wanted_users", {}))
    for key, direction in _STRICTER.items():
        if key in override:
            asked = asked_number(name, key, override[key])
            if asked > values[key] if direction == "lower" else asked < values[key]:
                raise Refused(
                    f"policy/releases.yml: release {name}: {key} may only be {direction} than {values[key]}: {asked}"
                )
            values[key] = asked
    try:
        return Spec(period=period, **values)
    except TypeError as error:
        raise BadInput(f"release {name}: its declaration does not fit: {error}") from None


def _names(release: str, key: str, declared: object) -> tuple[str, ...]:
    if not isinstance(declared, list) or not all(isinstance(each, str) for each in declared):
        raise BadInput(f"release {release}: {key} must be a list of names")
    if len(set(declared)) < len(declared):
        raise BadInput(f"release {release}: {key} must differ")
    return tuple(declared)


def _users(release: str, declared: object) -> dict[str, int]:
    if not isinstance(declared, Mapping) or not all(type(users) is int for users in declared.values()):
        raise BadInput(f"release {release}: wanted_users must say a whole number of users by level")
    return {str(level): users for level, users in declared.items()}


def asked_number(release: str, key: str, value: object) -> Any:
    """Return what a workspace asks for; NaN compares with nothing, so it is told before it is compared."""
    number = _number(release, key, value)
    if isinstance(number, Decimal) and number.is_nan():
        raise BadInput(f"release {release}: {key} must be a number")
    return number


def _number(release: str, key: str, value: object) -> Any:
    if key not in _INTEGERS + _DECIMALS:
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise BadInput(f"release {release}: {key} must be a number") from None
    if key in _DECIMALS:
        return number
    if not number.is_finite() or number != int(number):
        raise BadInput(f"release {release}: {key} must be a whole number")
    return int(number)


def version(specs: list[Spec], budgets: list[Budget]) -> str:
    """Return a hash of the policy in force: floors, specs and budgets."""
    floors = [MIN_TENANTS, MIN_QUORUM, MAX_RHO, MAX_DELTA, MIN_GATE_Z, MAX_TOLERANCE_POINTS, MAX_BUDGET]
    return _digest({"floors": floors, "specs": [asdict(s) for s in specs], "budgets": [b.limits for b in budgets]})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]
