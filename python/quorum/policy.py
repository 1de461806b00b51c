"""Policy: what is declared, what the workspace may change about it, and the floors below which nothing goes.

A release is declared beside its model (``config.meta.release``). A workspace's ``policy/releases.yml`` may make it
stricter or choose among the periods that it declares. The floors stand in code, so that no variable, environment,
profile, seed or package can move them.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from quorum.budget import Budget
from quorum.errors import BadInput, Refused

MIN_TENANTS = 5
MIN_QUORUM = 50  # users: min_tenants * tenant_cap
MAX_RHO = {"day": Decimal("0.0072"), "week": Decimal("0.05")}  # about the same a week
MAX_DELTA = Decimal("1e-7")
MIN_GATE_Z = Decimal("5.6")
MAX_TOLERANCE_POINTS = Decimal(6)
MAX_VALUE_SCALE = 10_000
MAX_BUDGET = {"week": Decimal("0.05"), "quarter": Decimal("0.65"), "year": Decimal("2.6")}


@dataclass(frozen=True)
class Spec:
    """A release as it will be made: every number that bounds or noises it. Rho is zCDP per period."""

    name: str
    population: str
    unit: str
    estimand: str
    keys: str
    period: str
    rho_atoms: Decimal
    rho_parents: Decimal
    max_cells: int
    history: int
    min_tenants: int
    tenant_cap: int
    atom_min_contributors: int
    value_scale: int
    delta: Decimal
    gate_z: Decimal
    tolerance_points: Decimal

    def __post_init__(self) -> None:
        self._floor(self.period in MAX_RHO, "period", "day or week")
        for name in (
            "max_cells",
            "history",
            "min_tenants",
            "tenant_cap",
            "atom_min_contributors",
            "value_scale",
        ):
            self._floor(getattr(self, name) >= 1, name, "at least 1")
        for name in ("rho_atoms", "rho_parents", "delta", "gate_z", "tolerance_points"):
            value = getattr(self, name)
            self._floor(value.is_finite() and value > 0, name, "a positive number")
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
        self._floor(self.value_scale <= MAX_VALUE_SCALE, "value_scale", f"at most {MAX_VALUE_SCALE}")

    def _floor(self, holds: bool, name: str, bound: str) -> None:
        if not holds:
            raise Refused(f"release {self.name}: {name} is {getattr(self, name)}, the floor in code is {bound}")

    @property
    def rho(self) -> Decimal:
        return self.rho_atoms + self.rho_parents

    @property
    def quorum(self) -> int:
        """Tenant-weighted users below which a cohort is not eligible."""
        return self.min_tenants * self.tenant_cap

    def bounded(self, key_count: int) -> "Spec":
        """Return the spec with L0 fitted to the number of keys.

        From half of the keys on, a bound costs no less noise than none (docs/privacy-model.md), so there is none.
        """
        unbounded = 2 * self.max_cells >= key_count
        return replace(self, max_cells=key_count if unbounded else self.max_cells)

    def digest(self, keys: list[str]) -> str:
        """Return a hash of everything that decides what the answer means."""
        return _digest({**asdict(self), "keys": keys})

    def periods(self, as_of: date) -> list[tuple[date, date]]:
        """Return the last closed periods as (first day, day after the last), oldest first. Calendar only, UTC."""
        end = as_of + timedelta(days=1)
        length = timedelta(days=1)
        if self.period == "week":
            end -= timedelta(days=end.weekday())
            length = timedelta(days=7)
        return [(end - length * n, end - length * (n - 1)) for n in range(self.history, 0, -1)]


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
_INTEGERS = ("max_cells", "history", "min_tenants", "tenant_cap", "atom_min_contributors", "value_scale")
_DECIMALS = ("rho_atoms", "rho_parents", "delta", "gate_z", "tolerance_points")


def resolve(declared: Mapping[str, Any], override: Mapping[str, Any]) -> Spec:
    """Return the spec that a declaration and a workspace's override give.

    Raises BadInput for what cannot be read, Refused for what would loosen the declaration or a floor.
    """
    name = str(declared.get("name"))
    unknown = {str(key) for key in override} - set(_STRICTER) - {"period"}
    if unknown:
        raise BadInput(f"policy/releases.yml: release {name}: {min(unknown)} cannot be set here")
    periods = declared["periods"]
    period = override.get("period", declared["default_period"])
    if not isinstance(period, str) or period not in periods:
        raise BadInput(f"policy/releases.yml: release {name}: period must be one of {', '.join(sorted(periods))}")

    values = {k: v for k, v in declared.items() if k not in ("periods", "default_period")} | periods[period]
    values = {key: _number(name, key, value) for key, value in values.items()}
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


def sensitivity(spec: Spec, key_count: int) -> float:
    """Return how far one unit can move an atom's integer vector (count, one adopters cell per key), in L2.

    Proven in docs/privacy-model.md. While its contributor has at most C users, a unit adds its own bounded vector
    and one to the count; beyond, the count stands still and the unit moves the contributor's mean. Rounded up.
    """
    cap, scale, count = spec.tenant_cap, spec.value_scale, count_scale(spec, key_count)
    below_cap = math.sqrt(spec.max_cells * scale**2 + count**2)
    at_cap = scale * cap / (cap + 1) * math.sqrt(min(2 * spec.max_cells, key_count)) + math.sqrt(key_count)
    return math.nextafter(max(below_cap, at_cap) * (1 + 1e-9), math.inf)


def count_scale(spec: Spec, key_count: int) -> int:
    """Return the integer units of one active user: as many as the capped case leaves free, at least value_scale."""
    cap, scale = spec.tenant_cap, spec.value_scale
    free = (scale * cap) ** 2 * min(2 * spec.max_cells, key_count) // (cap + 1) ** 2 - spec.max_cells * scale**2
    return max(scale, math.isqrt(max(free, 0)))
