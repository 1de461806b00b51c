"""Beside each other, no two published figures of neighbouring periods are about fewer than a quorum of contributors.

The model's own SQL over random registries, against all comparisons that anybody could make.
"""

import random
import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import chain, combinations, product
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest

from quorum import cohort_map
from quorum.cohort_map import Hierarchy, Labels
from quorum.settings import project_directory

QUORUM = 3
WORLDS = 300
ATOMS = "abcd"
HIERARCHY = Hierarchy({("region", "x"): "xy", ("region", "y"): "xy", **{(a, "*"): "*" for a in cohort_map.ATTRIBUTES}})


class Member(NamedTuple):
    """A tenant as whom it counts, and its atom in the period before and in this one; None where it is in none."""

    tenant: str
    earlier: tuple[str, str] | None  # contributor, atom
    later: tuple[str, str] | None


def world(dice: random.Random) -> list[Member]:
    """Return blocks of tenants, most of which stay or move together, so that some changes are small and some large."""
    members = []
    for block in range(dice.randint(2, 6)):
        before, after = (dice.choice([*ATOMS, None]) for _ in range(2))
        after = dice.choice([before, before, after])
        for number in range(dice.randint(1, 5)):
            name = f"{block}-{number}"
            contributor = dice.choice([name] * 4 + ["group g"])
            now = dice.choice([contributor] * 12 + [name, "group h"])
            goes = dice.choice([after] * 9 + [dice.choice([*ATOMS, None])])
            members.append(Member(name, before and (contributor, before), goes and (now, goes)))
    return members


def mapped_world(dice: random.Random) -> list[Member]:
    """Return tenants whose labels change as they do on a registry, under two maps in a row that follow each other.

    So there are atoms that stay though they shrank, and such that rest or are tried again.
    """
    labels = [*product("ab", "xy", "sl")]
    earlier: dict[str, Labels] = {}
    later: dict[str, Labels] = {}
    for block in range(dice.randint(2, 6)):
        at = dice.choice(labels)
        after = dice.choice([at] * 5 + labels)
        for number in range(dice.randint(1, 7)):
            name = f"{block}-{number}"
            if dice.random() < 0.99:
                earlier[name] = at
            if dice.random() < 0.99:
                later[name] = dice.choice([after] * 400 + labels)
    maps: list[frozenset[str]] = [frozenset()]
    for registry in (earlier, later):
        rests = {key for key in maps[-1] if dice.random() < 0.2}
        members = [cohort_map.Member(at, name) for name, at in registry.items()]
        maps.append(frozenset(cohort_map.choose(members, HIERARCHY, QUORUM + 2, maps[-1], rests)))
    places = [
        {name: (name, cohort_map.place(at, atoms, HIERARCHY).key) for name, at in registry.items()}
        for registry, atoms in zip((earlier, later), maps[1:], strict=True)
    ]
    return [Member(name, *(place.get(name) for place in places)) for name in sorted({*earlier, *later})]


def atoms(places: Iterable[tuple[str, tuple[str, str] | None]]) -> dict[str, set[tuple[str, str]]]:
    """Return who is in each atom: tenants, with as whom each counts."""
    found: dict[str, set[tuple[str, str]]] = {}
    for tenant, place in places:
        if place:
            found.setdefault(place[1], set()).add((tenant, place[0]))
    return found


def unions(of: dict[str, set[tuple[str, str]]]) -> Iterator[set[tuple[str, str]]]:
    """Yield what a published figure may be about: unions of atoms with a quorum of contributors."""
    large = [atom for atom in of.values() if len({contributor for _, contributor in atom}) >= QUORUM]
    for some in chain.from_iterable(combinations(large, n) for n in range(1, len(large) + 1)):
        yield set().union(*some)


def least_difference(members: list[Member], withheld: set[str]) -> int:
    """Return about how few contributors two figures side by side can be, where they are not about the same tenants."""
    earlier = list(unions(atoms((m.tenant, m.earlier) for m in members)))
    shown = atoms((m.tenant, m.later) for m in members)
    later = list(unions({key: atom for key, atom in shown.items() if key not in withheld}))
    differences = [{contributor for _, contributor in one ^ other} for one in earlier for other in later]
    return min((len(each) for each in differences if each), default=QUORUM)


def withheld_by(sql: str, worlds: list[list[Member]]) -> list[set[str]]:
    """Run the model over all worlds at once, two periods for each."""
    starts = [date(2026, 1, 5) + timedelta(days=14 * number) for number in range(len(worlds))]
    week = timedelta(days=7)
    rows = []
    for start, members in zip(starts, worlds, strict=True):
        for member in members:
            for day, place in ((start - week, member.earlier), (start, member.later)):
                if place:
                    row = {"period_start": day, "tenant_key": member.tenant, "listing": "listed"}
                    rows.append(row | {"contributor_key": place[0], "cohort_key": place[1]})
    periods = [{"period_start": start, "previous_start": start - week, "thin_below": QUORUM} for start in starts]
    with duckdb.connect() as connection:
        connection.register("release_periods", pa.Table.from_pylist(periods))
        connection.register("cohort_tenants", pa.Table.from_pylist(rows))
        connection.execute("create table dim_tenants (tenant_key text, listing text, valid_from date)")
        found = connection.execute(sql).fetchall()
    return [{key for day, key in found if day == start} for start in starts]


@pytest.fixture(scope="module")
def model() -> str:
    text = (project_directory() / "models" / "cross_tenant" / "cohort_transitions.sql").read_text("utf-8")
    return re.sub(r"\{\{ (?:source|ref)\((?:'\w+', )?'(\w+)'\) \}\}", r"\1", text)


@pytest.fixture(scope="module")
def registries() -> list[list[Member]]:
    dice = random.Random(1)
    return [world(dice) for _ in range(WORLDS)]


@pytest.fixture(scope="module")
def mapped() -> list[list[Member]]:
    dice = random.Random(1)
    return [mapped_world(dice) for _ in range(WORLDS)]


@pytest.mark.parametrize("kind", ["registries", "mapped"])
def test_no_two_figures_side_by_side_are_about_a_few(kind: str, model: str, request: pytest.FixtureRequest) -> None:
    registries: list[list[Member]] = request.getfixturevalue(kind)
    withheld = withheld_by(model, registries)
    assert min(map(least_difference, registries, withheld)) >= QUORUM
    shown = [
        (members, atoms((m.tenant, m.later) for m in members).keys() - gone)
        for members, gone in zip(registries, withheld, strict=True)
    ]
    assert sum(len(keys) for _, keys in shown) > WORLDS / 4, "not all is withheld"
    changed = [keys for members, keys in shown if keys and any(m.earlier != m.later for m in members)]
    assert len(changed) > WORLDS / 10, "nor all where something changed"


SPREADS = """    union
    select
        bundles.period_start,
        bundles.to_cohort as cohort_key
    from bundles
    semi join thin using (period_start, previous_start, from_cohort)
    where bundles.to_cohort is not null
"""
# What somebody could forget, as replacements in the model.
PLANTED = {
    "nothing is withheld": {"contributors < periods.thin_below": "contributors < 0"},
    "only where few arrive": {SPREADS: ""},
    "twins count twice": {"count(distinct contributor_key)": "count(*)"},
    "who changes owner stays": {
        "tenant_key, contributor_key)": "tenant_key)",
        "contributor_key,\n        earlier.cohort_key": "later.contributor_key,\n        earlier.cohort_key",
    },
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_weaker_rule_is_found_out(name: str, model: str, registries: list[list[Member]]) -> None:
    for rule, weaker in PLANTED[name].items():
        assert rule in model
        model = model.replace(rule, weaker)
    assert min(map(least_difference, registries, withheld_by(model, registries))) < QUORUM
