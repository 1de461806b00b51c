"""Two-stage measurement of one release over one period: bounded integers in, noisy answer out.

Stage 1 measures every atom, ungated, and draws the set E of eligible atoms; atoms that are withheld because their
contributors have just changed by a few are left out of it. Stage 2 measures the parents as sums
over E alone, so that no difference between two published figures holds less than a quorum. The proofs are in
docs/privacy-model.md.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from quorum import mechanisms
from quorum.errors import Refused
from quorum.policy import Spec, count_scale, sensitivity

MECHANISM = "discrete Gaussian on bounded integers (OpenDP), zCDP"
COUNT = "active_users"
ADOPTERS = "adopters"
ALL = "all"

Noise = Callable[[Sequence[int], float], list[int]]


@dataclass(frozen=True)
class Cohort:
    """A group of tenants that figures may be published for; the labels are the registry's."""

    key: str
    level: str
    industry: str
    region: str
    size_band: str

    @classmethod
    def everyone(cls) -> "Cohort":
        return cls("*/*/*", ALL, "*", "*", "*")


@dataclass(frozen=True)
class Cells:
    """The bounded cells of one period: per atom a vector of the count and one cell per key, in units of the spec.

    Atoms ``in_transition`` (by their keys, learnt from the registry alone) are measured like all and never eligible.
    """

    keys: tuple[str, ...]
    atoms: dict[Cohort, tuple[int, ...]]
    in_transition: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if any(len(vector) != 1 + len(self.keys) for vector in self.atoms.values()):
            raise ValueError("an atom's vector is the count and one cell per key")


@dataclass(frozen=True)
class Plan:
    """The noise that a spec asks for, before anything is drawn."""

    sensitivity: float
    count_scale: int
    atom_scale: float
    parent_scale: float
    delta_gate: float

    @classmethod
    def of(cls, spec: Spec, key_count: int) -> "Plan":
        distance = sensitivity(spec, key_count)
        atom_scale = mechanisms.gaussian_scale(distance, spec.rho_atoms)
        delta_gate = mechanisms.tail(float(spec.gate_z), atom_scale)
        if delta_gate >= spec.delta:
            raise Refused(
                f"release {spec.name}: delta is {spec.delta}, and the gate alone takes {delta_gate:.3g}: raise gate_z"
            )
        return cls(
            sensitivity=distance,
            count_scale=count_scale(spec, key_count),
            atom_scale=atom_scale,
            parent_scale=mechanisms.gaussian_scale(distance, spec.rho_parents),
            delta_gate=delta_gate,
        )


def eligible_atoms(spec: Spec, plan: Plan, exact: Sequence[int], noisy: Sequence[int]) -> list[bool]:
    """Return which atoms are a quorum beyond doubt: the exact count is, and the noisy one by z sigma."""
    quorum = spec.quorum * plan.count_scale
    # exact, as in the proof of mechanisms.tail: a float sum may round down to the next integer
    bar = quorum + Fraction(float(spec.gate_z)) * Fraction(plan.atom_scale)
    return [x >= quorum and y >= bar for x, y in zip(exact, noisy, strict=True)]


def measure(
    spec: Spec,
    plan: Plan,
    cells: Cells,
    drawn: frozenset[str] | None = None,
    noise: Noise = mechanisms.discrete_gaussian,
) -> tuple[frozenset[str], dict[str, Any]]:
    """Return the keys of E and the answer. ``drawn`` is E where an earlier release has drawn it for this period."""
    atoms = sorted(cells.atoms, key=lambda atom: atom.key)
    width = 1 + len(cells.keys)
    flat = [value for atom in atoms for value in cells.atoms[atom]]
    noisy = _split(noise(flat, plan.atom_scale), width)

    passed = eligible_atoms(spec, plan, [cells.atoms[atom][0] for atom in atoms], [vector[0] for vector in noisy])
    eligible = frozenset(a.key for a, ok in zip(atoms, passed, strict=True) if ok) if drawn is None else drawn
    eligible -= cells.in_transition  # left out of E, so that no parent less its atoms is one of them

    exact_sums = [sum(cells.atoms[atom][i] for atom in atoms if atom.key in eligible) for i in range(width)]
    parent = noise(exact_sums, plan.parent_scale)

    unit = [plan.count_scale] + [spec.value_scale] * len(cells.keys)
    answer = {
        "cohorts": [
            _figures(atom, vector, plan.atom_scale, unit, atom.key in eligible)
            for atom, vector in zip(atoms, noisy, strict=True)
        ]
        + [_figures(Cohort.everyone(), parent, plan.parent_scale, unit, bool(eligible))],
        "keys": list(cells.keys),
        "mechanism": MECHANISM,
    }
    return eligible, answer


def refused(spec: Spec, cells: Cells) -> dict[str, Any]:
    """Return the answer's shape with nothing in it, for a period that the budget has no room for."""
    cohorts = [*sorted(cells.atoms, key=lambda atom: atom.key), Cohort.everyone()]
    return {
        "cohorts": [{**asdict(c), "eligible": False, "values": None, "sigmas": None} for c in cohorts],
        "keys": list(cells.keys),
        "mechanism": None,
    }


def cells_from(rows: Sequence[dict[str, Any]], atoms: Sequence[dict[str, Any]], keys: Sequence[str]) -> Cells:
    """Arrange the rows of a ``dp_`` model (cohort_key, metric, key, value) into vectors."""
    position = {(COUNT, None): 0} | {(ADOPTERS, key): i for i, key in enumerate(keys, start=1)}
    vectors: dict[str, list[int]] = defaultdict(lambda: [0] * len(position))
    for row in rows:
        vectors[row["cohort_key"]][position[row["metric"], row["key"]]] = row["value"]
    cohorts = {
        Cohort(a["cohort_key"], "atom", a["cohort_industry"], a["cohort_region"], a["cohort_size_band"]): a
        for a in atoms
    }
    in_transition = frozenset(a["cohort_key"] for a in atoms if a["is_in_transition"])
    return Cells(tuple(keys), {cohort: tuple(vectors[cohort.key]) for cohort in cohorts}, in_transition)


def _figures(
    cohort: Cohort, vector: Sequence[int], scale: float, unit: Sequence[int], eligible: bool
) -> dict[str, Any]:
    """Signed values in users and their standard deviations; none for a cohort that is no quorum."""
    return {
        **asdict(cohort),
        "eligible": eligible,
        "values": [value / one for value, one in zip(vector, unit, strict=True)] if eligible else None,
        "sigmas": [scale / one for one in unit],
    }


def _split(flat: Sequence[int], width: int) -> list[Sequence[int]]:
    return [flat[i : i + width] for i in range(0, len(flat), width)]
