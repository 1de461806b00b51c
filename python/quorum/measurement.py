"""Two-stage measurement of one release over one period: bounded integers in, noisy integers out.

Stage 1 measures every group (an atom, or a segment of one), ungated, and draws the set E of eligible groups; atoms
that are withheld because their contributors have just changed by a few are left out of it. Stage 2 measures the
parents, level by level, as sums over E alone, so that no difference between two published figures holds less than a
quorum. The proofs are in docs/privacy-model.md.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from quorum import mechanisms
from quorum.bounding import COUNT, Layout
from quorum.errors import Refused
from quorum.policy import ATOM, Spec

MECHANISM = "discrete Gaussian on bounded integers (OpenDP), zCDP"

Noise = Callable[[Sequence[int], float], list[int]]


@dataclass(frozen=True)
class Cohort:
    """A group of tenants that figures may be published for; the labels are the registry's."""

    key: str
    level: str
    industry: str
    region: str
    size_band: str


@dataclass(frozen=True)
class Group:
    """The units of one atom that are in one segment; ``segment`` is None where a release has none."""

    atom: str
    segment: str | None

    @property
    def id(self) -> str:
        return self.atom if self.segment is None else f"{self.atom} {self.segment}"


@dataclass(frozen=True)
class Cells:
    """The bounded cells of one period: per group a vector of the count and one value per cell of the layout.

    ``parents`` are the unions of atoms that are measured too, by their atoms' keys; those of one level are disjoint.
    Atoms ``in_transition`` (learnt from the registry alone) are measured like all and never eligible.
    """

    atoms: tuple[Cohort, ...]
    parents: dict[Cohort, frozenset[str]]
    segments: tuple[str | None, ...]
    vectors: dict[Group, tuple[int, ...]]
    in_transition: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if set(self.vectors) != set(self.groups):
            raise ValueError("each atom has a vector per segment")
        for level in self.levels:
            members = [atom for each, atoms in self.parents.items() if each.level == level for atom in atoms]
            if len(set(members)) < len(members):
                raise ValueError(f"an atom is in two parents of level {level}")

    @property
    def groups(self) -> list[Group]:
        """All groups, in the order in which they are measured."""
        return [Group(atom.key, segment) for atom in self.atoms for segment in self.segments]

    @property
    def levels(self) -> list[str]:
        """The levels of the parents, in the order in which they are measured."""
        return sorted({parent.level for parent in self.parents})


@dataclass(frozen=True)
class Plan:
    """The noise that a spec asks for, before anything is drawn. Scales are in units of the vector."""

    sensitivity: float
    count_scale: int
    atom_scale: float
    parent_scales: Mapping[str, float]  # by level
    delta_gate: float

    @classmethod
    def of(cls, spec: Spec, layout: Layout) -> "Plan":
        """Plan the noise. A selection of keys has one stage, and no parents."""
        distance = layout.sensitivity
        atom_scale = mechanisms.gaussian_scale(distance, spec.rho_atoms)
        delta_gate = layout.verdicts * mechanisms.tail(float(spec.gate_z), atom_scale)
        if delta_gate >= spec.delta:
            raise Refused(
                f"release {spec.name}: delta is {spec.delta}, and the gate alone takes {delta_gate:.3g}: raise gate_z"
            )
        return cls(
            sensitivity=distance,
            count_scale=layout.count_scale,
            atom_scale=atom_scale,
            parent_scales={
                level: mechanisms.gaussian_scale(distance, rho) for level, rho in spec.rho_of_levels.items()
            },
            delta_gate=delta_gate,
        )

    @property
    def scales(self) -> dict[str, float]:
        """The standard deviation of the noise by level, that of atoms included."""
        return {ATOM: self.atom_scale, **self.parent_scales}

    def least_eligible_users(self, spec: Spec) -> int:
        """Return from how many users on a group, or a key of a selection, is as likely to be eligible as not."""
        return round(spec.quorum + float(spec.gate_z) * self.atom_scale / self.count_scale)


def eligible_groups(spec: Spec, plan: Plan, exact: Sequence[int], noisy: Sequence[int]) -> list[bool]:
    """Return which groups, or keys, are a quorum beyond doubt: the exact count is, and the noisy one by z sigma."""
    quorum = spec.quorum * plan.count_scale
    # exact, as in the proof of mechanisms.tail: a float sum may round down to the next integer
    bar = quorum + Fraction(float(spec.gate_z)) * Fraction(plan.atom_scale)
    return [x >= quorum and y >= bar for x, y in zip(exact, noisy, strict=True)]


def measure(
    spec: Spec,
    plan: Plan,
    cells: Cells,
    among: frozenset[str] | None = None,
    noise: Noise = mechanisms.discrete_gaussian,
) -> tuple[frozenset[str], list[dict[str, Any]]]:
    """Return E (ids of groups) and the noisy cohorts; of a deeper look, E is of those ``among`` its release's E.

    Whatever an earlier answer found, the gate is drawn over these very cells: rows may have left since.
    """
    groups = cells.groups
    noisy = _noisy(noise, [cells.vectors[group] for group in groups], plan.atom_scale)
    passed = eligible_groups(spec, plan, [cells.vectors[each][0] for each in groups], [vector[0] for vector in noisy])
    eligible = frozenset(group.id for group, ok in zip(groups, passed, strict=True) if ok)
    if among is not None:
        eligible &= among
    # left out of E, so that no parent less its atoms is one of them
    eligible -= {group.id for group in groups if group.atom in cells.in_transition}

    by_key = {atom.key: atom for atom in cells.atoms}
    measured = [
        _measured(by_key[group.atom], group.segment, {group.atom} if group.id in eligible else set(), vector)
        for group, vector in zip(groups, noisy, strict=True)
    ]
    for level in cells.levels:
        unions = [
            (parent, segment, {atom for atom in atoms if Group(atom, segment).id in eligible})
            for parent, atoms in cells.parents.items()
            if parent.level == level
            for segment in cells.segments
        ]
        sums = [
            _sum((cells.vectors[Group(atom, segment)] for atom in members), len(noisy[0]) if noisy else 0)
            for _, segment, members in unions
        ]
        vectors = _noisy(noise, sums, plan.parent_scales[level])
        measured += [_measured(*union, vector) for union, vector in zip(unions, vectors, strict=True)]
    return eligible, measured


def refused(cells: Cells) -> list[dict[str, Any]]:
    """Return the cohorts of an answer with nothing in them, for a period that the budget has no room for."""
    return [
        _measured(cohort, segment, set(), ()) for cohort in (*cells.atoms, *cells.parents) for segment in cells.segments
    ]


def cells_from(
    rows: Iterable[Mapping[str, Any]],
    cohorts: Iterable[Mapping[str, Any]],
    spec: Spec,
    layout: Layout,
) -> Cells:
    """Arrange the rows of a ``dp_`` model (cohort_key, segment, metric, key, value) into vectors.

    ``cohorts`` are the rows of ``cohort_unions``: a cohort and one of its atoms each, the atom itself included.
    """
    place = places(layout)
    vectors: dict[Group, list[int]] = defaultdict(lambda: [0] * len(place))
    for row in rows:
        vectors[Group(row["cohort_key"], row["segment"])][place[row["metric"], row["key"]]] = row["value"]
    members: dict[Cohort, set[str]] = defaultdict(set)
    in_transition = set()
    labels = ("industry", "region", "size_band")
    for row in cohorts:
        cohort = Cohort(row["cohort_key"], row["cohort_level"], *(row[f"cohort_{label}"] for label in labels))
        members[cohort].add(row["atom_key"])
        in_transition |= {row["atom_key"]} if row["is_in_transition"] else set()
    atoms = tuple(sorted((each for each in members if each.level == ATOM), key=lambda atom: atom.key))
    parents = {each: frozenset(members[each]) for each in sorted(members, key=_order) if each.level in spec.levels}
    named = tuple(spec.segments) or (None,)
    groups = [Group(atom.key, segment) for atom in atoms for segment in named]
    return Cells(atoms, parents, named, {group: tuple(vectors[group]) for group in groups}, frozenset(in_transition))


def places(layout: Layout) -> dict[tuple[str, str | None], int]:
    """Return where in a vector the count and each cell stand, by metric and key."""
    return {(COUNT, None): 0} | {(cell.metric, cell.key): n for n, cell in enumerate(layout.cells, start=1)}


def _order(cohort: Cohort) -> tuple[str, str]:
    return cohort.level, cohort.key


def _measured(cohort: Cohort, segment: str | None, members: set[str], vector: Sequence[int]) -> dict[str, Any]:
    """Return a cohort with its noisy vector; none for what is no quorum. ``members`` are its atoms in E."""
    return {
        **asdict(cohort),
        "segment": segment,
        "members": sorted(members),
        "noisy": list(vector) if members else None,
    }


def _sum(vectors: Iterable[Sequence[int]], width: int) -> list[int]:
    return [sum(column) for column in zip([0] * width, *vectors, strict=True)]


def _noisy(noise: Noise, vectors: Sequence[Sequence[int]], scale: float) -> list[Sequence[int]]:
    """Give noise to all vectors of one stage in one call."""
    flat = noise([value for vector in vectors for value in vector], scale)
    width = len(vectors[0]) if vectors else 1
    return [flat[i : i + width] for i in range(0, len(flat), width)]
