"""The cohort maps that the due periods need: those in force where an answer knows them, else chosen as time goes.

A map is in force from the first answer over it. The ledger's answers name its atoms, so it is the same after any
rebuild, and for each release that asks about that period later.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from quorum import cohort_map, warehouse
from quorum.cohort_map import ATTRIBUTES, Hierarchy, Labels, Member, Period, Place
from quorum.key_selection import SELECTED
from quorum.ledger import Answer
from quorum.measurement import Cells
from quorum.policy import ATOM, MIN_TENANTS, Spec
from quorum.workspace import Workspace

if TYPE_CHECKING:
    from quorum.release import Due

Row = Mapping[str, Any]

MAPS = pa.schema(
    [
        ("period_start", pa.date32()),
        *((name, pa.string()) for name in ATTRIBUTES),
        *((f"cohort_{name}", pa.string()) for name in ("key", *ATTRIBUTES, "sector", "wider_region")),
        ("registered_contributors", pa.int64()),
        ("consenting_contributors", pa.int64()),
        ("information_loss", pa.float64()),
        ("reason", pa.string()),
        ("resting", pa.string()),
    ]
)
_REGISTRY = (
    "select tenant_key, valid_from, listing, owner_group, industry, region, size_band, benchmark_consent "
    "from dim_tenants where listing in ('listed', 'default')"
)


@dataclass(frozen=True)
class Bounds:
    """What makes an atom, and what is too few to move alone: the strictest that any declared release says.

    Which of them are due has no part in it. That depends on what waits for a quota, and so on rows.
    """

    least: int  # contributors on the registry that make an atom
    thin_below: int  # contributors that fewer of are not to be told apart

    @classmethod
    def of(cls, specs: Iterable[Spec]) -> "Bounds":
        """Read all declared releases. A selection of keys is over no cohort, and a deeper look is its release's."""
        over_cohorts = [spec for spec in specs if spec.source == spec.name and not spec.is_selection]
        return cls(
            max((spec.atom_min_contributors for spec in over_cohorts), default=1),
            max((spec.min_tenants for spec in over_cohorts), default=MIN_TENANTS),
        )


@dataclass
class History:
    """What the answers that were given say of cohort maps."""

    in_force: dict[date, frozenset[str]] = field(default_factory=dict)
    periods: dict[date, Period] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: Iterable[Answer]) -> "History":
        """Read payloads, in any order. The atoms that one names are in its map, whether or not they passed."""
        history = cls()
        looked_back: dict[date, frozenset[str]] = {}
        for answer in answers:
            if SELECTED in answer.payload:  # keys over all tenants: no map has a part in it
                continue
            start, facts = answer.slot.start, answer.payload.get("cohort_map", {})  # earlier answers have none
            atoms = [cohort for cohort in answer.payload["cohorts"] if cohort["level"] == ATOM]
            keys = frozenset(atom["key"] for atom in atoms)
            tried = keys - set(facts.get("in_transition", ()))
            passed = frozenset(atom["key"] for atom in atoms if atom["members"])
            history.in_force.setdefault(start, keys)
            known = history.periods.get(start)
            history.periods[start] = Period(keys, tried, passed | known.passed if known else passed)
            if "previous" in facts:
                looked_back.setdefault(date.fromisoformat(facts["previous_start"]), frozenset(facts["previous"]))
        for start, keys in looked_back.items():
            history.in_force.setdefault(start, keys)
        return history

    def before(self, start: date) -> list[Period]:
        """Return the answered periods before a day, oldest first."""
        return [period for day, period in sorted(self.periods.items()) if day < start]


def record(workspace: Workspace, due: "Due", cells: Cells) -> dict[str, Any]:
    """Return what an answer keeps of its map, for those after it; its own atoms are among its cohorts."""
    with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
        earlier = warehouse.rows(
            connection,
            "select distinct cohort_key from cohort_maps where period_start = ? order by cohort_key",
            [due.previous_start],
        )
    return {
        "cohort_map": {
            "in_transition": sorted(cells.in_transition),
            "previous_start": str(due.previous_start),
            "previous": [row["cohort_key"] for row in earlier],
        }
    }


def write(workspace: Workspace, due: Sequence["Due"], bounds: Bounds, answers: Iterable[Answer]) -> None:
    """Write ``cohort_maps`` for the periods that are due and those before them."""
    with warehouse.opened(workspace, "tenant", read_only=True) as connection:
        versions = warehouse.rows(connection, _REGISTRY)
        hierarchy = Hierarchy(
            {
                (row["attribute"], row["value"]): row["parent"]
                for row in warehouse.rows(connection, "select attribute, value, parent from cohort_hierarchies")
            }
        )
    starts = {start for each in due for start in (each.previous_start, each.start)}
    rows = maps(versions, starts, hierarchy, bounds.least, History.of(answers))
    with warehouse.opened(workspace, "cross_tenant") as connection:
        warehouse.replace(connection, "cohort_maps", pa.Table.from_pylist(rows, MAPS))


def maps(
    versions: Iterable[Row], starts: Iterable[date], hierarchy: Hierarchy, least: int, history: History
) -> list[dict[str, Any]]:
    """Return one row per period and row of labels on the registry: its atom, and why there is that one.

    ``versions`` are rows of ``dim_tenants``. Maps that are not in force yet follow the newest one before them.
    """
    rows = []
    versions = list(versions)
    known = dict(history.in_force)
    for start in sorted(set(starts)):
        registry = _on_day(versions, start)
        members = [row for row in registry if row["benchmark_consent"]]
        resting: frozenset[str] = frozenset()
        if start in known:
            reasons = dict.fromkeys(known[start], "in force since the first answer")
        else:
            before = max((day for day in known if day < start), default=None)
            resting = cohort_map.resting(history.before(start))
            reasons = cohort_map.choose(
                [_member(row) for row in members],
                hierarchy,
                least,
                known[before] if before else frozenset(),
                resting,
            )
            known[start] = frozenset(reasons)
        places = {labels: cohort_map.place(labels, reasons.keys(), hierarchy) for labels in map(_labels, registry)}
        registered, consenting = (_contributors(places, some) for some in (registry, members))
        for labels, place in sorted(places.items()):
            rests = [name for name in cohort_map.cohorts_of(labels, hierarchy) if name in resting]
            rows.append(
                {
                    "period_start": start,
                    **dict(zip(ATTRIBUTES, labels, strict=True)),
                    **_cohort(place, hierarchy),
                    "registered_contributors": len(registered[place.key]),
                    "consenting_contributors": len(consenting[place.key]),
                    "information_loss": float(place.lost),
                    "reason": reasons.get(place.key, "nobody who consents is left"),
                    "resting": ", ".join(rests) or None,
                }
            )
    return rows


def _cohort(place: Place, hierarchy: Hierarchy) -> dict[str, str]:
    industry, region, _ = place.atom
    return {
        "cohort_key": place.key,
        **{f"cohort_{name}": value for name, value in zip(ATTRIBUTES, place.atom, strict=True)},
        "cohort_sector": hierarchy.wider("industry", industry),
        "cohort_wider_region": hierarchy.wider("region", region),
    }


def _contributors(places: Mapping[Labels, Place], registry: Iterable[Row]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in registry:
        found[places[_labels(row)].key].add(_member(row).contributor)
    return found


def _on_day(versions: Iterable[Row], start: date) -> list[Row]:
    """Return the rows that are in force when a period begins."""
    found: dict[str, Row] = {}
    for row in sorted(versions, key=lambda version: version["valid_from"]):
        if row["valid_from"] <= start:
            found[row["tenant_key"]] = row
    return list(found.values())


def _member(row: Row) -> Member:
    owner = row["owner_group"]
    return Member(_labels(row), row["tenant_key"] if owner is None else f"group {owner}", row["listing"] == "default")


def _labels(row: Row) -> Labels:
    return tuple(row[name] for name in ATTRIBUTES)
