"""The cohort map of one period: which atoms there are, and which of them each row of labels belongs to.

A cascade from narrow to wide. An atom needs enough contributors on the registry, so that it can hope to reach a quorum;
who finds none on one rung is counted again on the next. Two rules keep the map still. An atom that was in force before
stays a little below what a new one needs, so that one tenant that leaves does not move all others. And an atom whose
gate failed time and again *rests*: its tenants go on in a wider one, and after a while it is tried once more.

It is learnt from the registry, and from answers that were given before, and from nothing else. Why two maps in a row
give nobody away is in docs/privacy-model.md.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction

ATTRIBUTES = ("industry", "region", "size_band")
ANY = "*"
# Per rung, how far each attribute is generalised: 0 is its value, 1 the parent, 2 everything.
RUNGS = ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 2), (0, 2, 2), (1, 2, 2))

KEEP = Fraction(4, 5)  # of the contributors that a new atom needs: fewer, and one that was in force goes
PATIENCE = 4  # tries in a row that fail, until an atom rests
FAINT = Fraction(1, 4)  # of a try, where nothing passed at all, as before the first events come
REST = 26  # periods in which something passed that it rests for

Labels = tuple[str, ...]  # one per attribute


@dataclass(frozen=True)
class Hierarchy:
    """The parent of each value of an attribute; the row of value `*` holds for those that have none of their own."""

    parents: Mapping[tuple[str, str], str]

    def parent(self, attribute: str, value: str) -> str:
        """Return the wider value, `*` for everything."""
        return self.parents.get((attribute, value)) or self.parents[attribute, ANY]

    def wider(self, attribute: str, label: str) -> str:
        """Return the same of an atom's label, which may be a parent already, or `*`."""
        is_wide = any(label == parent for (named, _), parent in self.parents.items() if named == attribute)
        return label if is_wide or label == ANY else self.parent(attribute, label)

    def generalise(self, labels: Labels, rung: Sequence[int]) -> Labels | None:
        """Return the labels of a rung; None where a value has no parent but everything, which has a rung of its own."""
        found = []
        for attribute, value, depth in zip(ATTRIBUTES, labels, rung, strict=True):
            wider = (value, self.parent(attribute, value), ANY)[depth]
            if depth == 1 and wider == ANY:
                return None
            found.append(wider)
        return tuple(found)


@dataclass(frozen=True)
class Member:
    """A consenting tenant when the period begins, as whom it counts, and whether it is the registry's row `*`."""

    labels: Labels
    contributor: str
    is_default: bool = False


@dataclass(frozen=True)
class Place:
    """The atom of a row of labels. ``lost`` is the part of what the labels tell that it no longer does, from 0 to 1."""

    atom: Labels
    lost: Fraction

    @property
    def key(self) -> str:
        return key(self.atom)


EVERYTHING = Place((ANY,) * len(ATTRIBUTES), Fraction(1))


@dataclass(frozen=True)
class Period:
    """What an answered period says to the maps after it: its atoms, those that were tried, and those that passed."""

    atoms: frozenset[str]
    tried: frozenset[str]  # not withheld in transition
    passed: frozenset[str]  # in E of one release at least


def key(labels: Labels) -> str:
    return "/".join(labels)


def choose(
    members: Collection[Member],
    hierarchy: Hierarchy,
    least: int,
    before: AbstractSet[str] = frozenset(),
    resting: AbstractSet[str] = frozenset(),
) -> dict[str, str]:
    """Return the keys of the atoms in force, each with the reason for it.

    ``least`` is how many contributors a new atom needs, ``before`` has the atoms of the map before, ``resting`` those
    that may not be.
    """
    remaining: dict[Labels, set[str]] = defaultdict(set)
    crowd = {member.labels for member in members if member.is_default}
    for member in members:
        remaining[member.labels].add(member.contributor)
    atoms: dict[str, str] = {}
    rested: set[frozenset[Labels]] = set()
    for rung in RUNGS:
        groups: dict[Labels, set[Labels]] = defaultdict(set)
        for labels in remaining:
            if wider := hierarchy.generalise(labels, rung):
                groups[wider].add(labels)
        for atom, those in groups.items():
            contributors = len(set().union(*(remaining[labels] for labels in those)))
            if those & crowd:
                reason = "the row of all others is in it"  # any number of tenants, by itself
            elif contributors >= least:
                reason = "enough contributors"
            elif key(atom) in before and contributors >= KEEP * least:
                reason = "stays, though a new one would need more"
            else:
                continue
            # the same tenants under a wider name would fail the same gate
            if not those & crowd and (key(atom) in resting or frozenset(those) in rested):
                rested.add(frozenset(those))
                continue
            atoms[key(atom)] = reason
            for labels in those:
                del remaining[labels]
    if remaining:
        atoms[EVERYTHING.key] = "what is left"
    return atoms


def place(labels: Labels, atoms: AbstractSet[str], hierarchy: Hierarchy) -> Place:
    """Return where a row of labels belongs: the narrowest of its atoms that is in force."""
    for rung in RUNGS:
        atom = hierarchy.generalise(labels, rung)
        if atom and key(atom) in atoms:
            return Place(atom, Fraction(sum(rung), 2 * len(rung)))
    return EVERYTHING


def cohorts_of(labels: Labels, hierarchy: Hierarchy) -> list[str]:
    """Return the keys of all cohorts that a row of labels can be in, from narrow to wide."""
    rungs = (hierarchy.generalise(labels, rung) for rung in RUNGS)
    return [*dict.fromkeys(key(atom) for atom in rungs if atom), EVERYTHING.key]


def resting(history: Sequence[Period]) -> frozenset[str]:
    """Return the atoms that rest after the answered periods (oldest first): ``PATIENCE`` tries in a row have failed.

    A period in which an atom is withheld in transition, or is not in the map, is no try. While nothing passes, rests do
    not end: so where the wider atoms fail too, all come together in the end.
    """
    failed: dict[str, Fraction] = defaultdict(Fraction)
    since: dict[str, int] = {}
    fruitful = 0
    for period in history:
        fruitful += bool(period.passed)
        for atom in period.atoms & period.tried:
            failed[atom] = Fraction(0) if atom in period.passed else failed[atom] + (1 if period.passed else FAINT)
            if failed[atom] >= PATIENCE:
                since[atom], failed[atom] = fruitful, Fraction(0)
    return frozenset(atom for atom, then in since.items() if fruitful - then < REST) - {EVERYTHING.key}
