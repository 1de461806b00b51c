"""Random registries over two periods, and what a release publishes over them, by the models and the release's code."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from quorum import cohort_control, measurement
from quorum.cohort_control import History
from quorum.cohort_map import ANY, ATTRIBUTES, Hierarchy
from quorum.measurement import Plan
from quorum.metrics import Metric
from tests import rendered
from tests.measured_world import SPEC as OF_EACH_KIND
from tests.measured_world import all_pass, exact

SEGMENTS = ("new", "old")
WEEKS = tuple(date(2026, 1, 5) + timedelta(days=7 * number) for number in range(3))  # the first is only looked back at
SPEC = replace(
    OF_EACH_KIND,
    metrics=(Metric("users", "count", "active users"),),
    segments=SEGMENTS,
    atom_min_contributors=6,
)
HIERARCHY = Hierarchy({("region", "x"): "xy", ("region", "y"): "xy", **{(each, ANY): ANY for each in ATTRIBUTES}})
LAYOUT = SPEC.layout({})
PLAN = Plan.of(SPEC, LAYOUT)

Row = dict[str, Any]


class Item(NamedTuple):
    """The users of one tenant in one segment."""

    tenant: str
    segment: str


@dataclass(frozen=True)
class Published:
    """The structure that everybody sees: of each figure its week and the items that it sums."""

    figures: list[tuple[date, frozenset[Item]]]
    users: Mapping[Item, int]  # nobody's to see
    contributors: Mapping[Item, str]

    def of(self, week: date) -> list[frozenset[Item]]:
        return [items for when, items in self.figures if when == week]

    def weight(self, items: frozenset[Item]) -> int:
        """Return the users of a set, each contributor weighed as the release does."""
        users: dict[tuple[str, str], int] = {}
        for item in items:
            place = (self.contributors[item], item.segment)
            users[place] = users.get(place, 0) + self.users[item]
        return sum(min(each, SPEC.tenant_cap) for each in users.values())


def registry(dice: random.Random) -> list[Row]:
    """Return versions of some seventy tenants; in the last week a few of them change, most of them together."""
    rows = []
    for block in range(dice.randint(8, 14)):
        at = {"industry": dice.choice("ab"), "region": dice.choice("xy"), "size_band": dice.choice("sl")}
        after = dice.choice([at, at, at, {**at, "region": dice.choice("xy")}, {**at, "industry": dice.choice("ab")}])
        owner = dice.choice([None] * 8 + [f"group {block}"])
        for number in range(dice.randint(2, 9)):
            name = f"t{block}-{number}"
            common = {"tenant_key": name, "listing": "listed", "owner_group": owner if number < 2 else None}
            first = dice.choice([WEEKS[0]] * 30 + [WEEKS[2]])
            rows.append({**common, **at, "valid_from": first, "benchmark_consent": True})
            leaves = dice.random() < 0.02
            if (after != at or leaves) and first < WEEKS[2]:
                rows.append({**common, **after, "valid_from": WEEKS[2], "benchmark_consent": not leaves})
    return rows


def published(dice: random.Random, *, all_atoms: bool = False, transitions: bool = True) -> Published:
    """Return what two weeks of a release over a random registry show; the last two arguments plant a bug."""
    tenants = registry(dice)
    periods = [
        {"period_start": now, "previous_start": before, "thin_below": SPEC.min_tenants}
        for before, now in pairwise(WEEKS)
    ]
    maps = cohort_control.maps(tenants, WEEKS, HIERARCHY, SPEC.atom_min_contributors, History())
    tables: dict[str, list[Row]] = {"dim_tenants": tenants, "release_periods": periods, "cohort_maps": maps}
    for name in ("cohort_tenants", "cohort_transitions", "cohort_atoms", "cohort_unions"):
        tables[name] = _built(name, tables)
    users = {
        Item(row["tenant_key"], s): min(int(25 * dice.paretovariate(0.8)), 900) for row in tenants for s in SEGMENTS
    }
    found = []
    for week in WEEKS[1:]:
        members = [row for row in tables["cohort_tenants"] if row["period_start"] == week]
        unions = [row for row in tables["cohort_unions"] if row["period_start"] == week]
        if not transitions:
            unions = [row | {"is_in_transition": False} for row in unions]
        found += [(week, items) for items in _shown(members, unions, users, all_atoms)]
    owners = {row["tenant_key"]: row["contributor_key"] for row in tables["cohort_tenants"]}
    return Published(found, users, {item: owners.get(item.tenant, item.tenant) for item in users})


_MODELS = {
    name: rendered.model(f"cross_tenant/{name}.sql")
    for name in ("cohort_tenants", "cohort_transitions", "cohort_atoms", "cohort_unions")
}
_TYPES = {"cohort_transitions": {"period_start": WEEKS[0], "cohort_key": "none"}}


def _built(name: str, tables: Mapping[str, list[Row]]) -> list[Row]:
    rows = rendered.fetched(_MODELS[name], tables)
    return rows or [_TYPES[name]]  # a table without a row has no types; this one is of no week that is due


def _shown(
    members: list[Row], unions: list[Row], users: Mapping[Item, int], all_atoms: bool
) -> Iterator[frozenset[Item]]:
    counted: dict[tuple[str, str, str], int] = {}
    for row in members:
        for segment in SPEC.segments:
            place = (row["cohort_key"], segment, row["contributor_key"])
            counted[place] = counted.get(place, 0) + users[Item(row["tenant_key"], segment)]
    sums: dict[tuple[str, str], int] = {}
    for (cohort, segment, _), number in counted.items():
        sums[cohort, segment] = sums.get((cohort, segment), 0) + LAYOUT.count_scale * min(number, SPEC.tenant_cap)
    rows = [
        {"cohort_key": cohort, "segment": segment, "metric": "active_users", "key": None, "value": value}
        for (cohort, segment), value in sums.items()
    ]
    cells = measurement.cells_from(rows, unions, SPEC, LAYOUT)
    _, cohorts = measurement.measure(SPEC, PLAN, cells, None, exact)
    if all_atoms:
        with all_pass():
            loose = measurement.measure(SPEC, PLAN, cells, None, exact)[1]
        cohorts = [c for c in cohorts if c["level"] == "atom"] + [c for c in loose if c["level"] != "atom"]
    for each in cohorts:
        if each["noisy"] is not None:
            yield frozenset(
                Item(row["tenant_key"], each["segment"]) for row in members if row["cohort_key"] in each["members"]
            )
