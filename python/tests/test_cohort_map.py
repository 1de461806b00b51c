"""Which atoms there are: by hand, and over random registries and outcomes of gates for two years of weeks."""

import csv
import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product

import duckdb
import pytest

from quorum import cohort_map
from quorum.cohort_map import EVERYTHING, FAINT, KEEP, PATIENCE, REST, Hierarchy, Labels, Member, Period
from quorum.settings import project_directory

LEAST = 10
FAINTLY = int(PATIENCE / FAINT)  # tries of which none passes, until all rest
PARENTS = {
    ("industry", "retail"): "consumer",
    ("industry", "media"): "consumer",
    ("region", "eu"): "emea",
    ("region", "mena"): "emea",
    **{(attribute, "*"): "*" for attribute in cohort_map.ATTRIBUTES},
}
HIERARCHY = Hierarchy(PARENTS)


def members(**counts: int) -> list[Member]:
    """Return members by labels, such as retail_eu_small=3."""
    return [
        Member(tuple(labels.split("_")), f"{labels} {number}")
        for labels, count in counts.items()
        for number in range(count)
    ]


def chosen(some: list[Member], before: set[str] | None = None, resting: set[str] | None = None) -> set[str]:
    return set(cohort_map.choose(some, HIERARCHY, LEAST, before or set(), resting or set()))


@pytest.mark.parametrize(
    ("counts", "atoms"),
    [
        ({"retail_eu_small": 10, "retail_eu_large": 10}, {"retail/eu/small", "retail/eu/large"}),
        ({"retail_eu_small": 10, "retail_eu_large": 9}, {"retail/eu/small", "*/*/*"}),
        ({"retail_eu_small": 5, "retail_eu_large": 5}, {"retail/eu/*"}),
        ({"retail_eu_small": 5, "retail_mena_small": 5}, {"retail/emea/*"}),
        ({"retail_eu_small": 5, "retail_us_small": 5}, {"retail/*/*"}),
        ({"retail_eu_small": 5, "media_us_small": 5}, {"consumer/*/*"}),
        ({"travel_us_small": 5, "fintech_us_small": 5}, {"*/*/*"}),
        ({"retail_us_small": 5, "retail_asia_small": 4, "media_eu_small": 1}, {"consumer/*/*"}),
        ({}, set()),
    ],
)
def test_a_cohort_widens_until_it_holds_enough_contributors(counts: dict[str, int], atoms: set[str]) -> None:
    assert chosen(members(**counts)) == atoms


def test_an_owner_counts_once_and_the_row_of_all_others_is_a_cohort_by_itself() -> None:
    twins = [*members(retail_eu_small=9), Member(("retail", "eu", "small"), "retail_eu_small 0")]
    assert chosen(twins) == {"*/*/*"}
    crowd = [*twins, Member(("retail", "eu", "small"), "*", is_default=True)]
    assert chosen(crowd) == {"retail/eu/small"}
    assert chosen(crowd, resting={"retail/eu/small"}) == {"retail/eu/small"}, "whoever is in it"


def test_an_atom_that_was_there_stays_a_little_longer_and_no_new_one_comes() -> None:
    for count in range(1, 12):
        some = members(retail_eu_small=count, media_us_small=20)
        assert ("retail/eu/small" in chosen(some)) == (count >= LEAST)
        assert ("retail/eu/small" in chosen(some, {"retail/eu/small"})) == (count >= KEEP * LEAST)


def test_an_atom_that_rests_is_merged_into_a_wider_one_that_holds_more() -> None:
    alone = members(retail_eu_small=12, fintech_us_small=3)
    assert chosen(alone, resting={"retail/eu/small"}) == {"*/*/*"}, "not the same tenants under a wider name"
    others = members(retail_eu_small=12, retail_mena_large=1)
    assert chosen(others, resting={"retail/eu/small"}) == {"retail/emea/*"}
    assert chosen(others, resting={"retail/eu/small", "retail/emea/*"}) == {"*/*/*"}


def period(passed: str = "", tried: str = "ab", atoms: str = "ab") -> Period:
    return Period(frozenset(atoms), frozenset(tried), frozenset(passed))


@pytest.mark.parametrize(
    ("history", "rests"),
    [
        ([period("b")] * (PATIENCE - 1), ""),
        ([period("b")] * PATIENCE, "a"),
        ([period("b")] * 3 + [period("ab")] + [period("b")] * 3, ""),
        ([period("b")] * 3 + [period("b", tried="b")] * 9, ""),
        ([period("b")] * 3 + [period("b", tried="b")] * 9 + [period("b")], "a"),
        ([period("b")] * PATIENCE + [period("b", atoms="b")] * (REST - 1), "a"),
        ([period("b")] * PATIENCE + [period("b", atoms="b")] * REST, ""),
        ([period()] * (FAINTLY - 1), ""),
        ([period()] * FAINTLY, "ab"),
        ([period()] * (FAINTLY + REST), "ab"),
        ([period()] * FAINTLY + [period("c", atoms="c")] * REST, ""),
    ],
)
def test_who_fails_time_and_again_rests_for_a_while(history: list[Period], rests: str) -> None:
    assert cohort_map.resting(history) == frozenset(rests)


def test_the_widest_cohort_never_rests() -> None:
    everyone = frozenset({EVERYTHING.key})
    assert cohort_map.resting([Period(everyone, everyone, frozenset())] * 50) == frozenset()


def registry(dice: random.Random) -> list[Member]:
    """Return tenants in blocks of equal labels, some large enough for an atom and most not."""
    found = []
    labels = list(product(("retail", "media", "travel"), ("eu", "mena", "us"), ("small", "large")))
    for block in range(dice.randint(1, 9)):
        those = dice.choice(labels)
        crowd = dice.random() < 0.05
        found += [Member(those, f"{block} {number}") for number in range(dice.randint(1, 14))]
        found += [Member(those, "*", is_default=True)] if crowd else []
    return found


def weeks(
    dice: random.Random, some: list[Member], luck: float, count: int
) -> Iterator[tuple[dict[str, str], frozenset[str]]]:
    """Yield map and what rests, week by week over a registry that stays as it is; atoms pass by chance."""
    history: list[Period] = []
    before: frozenset[str] = frozenset()
    strength = {labels: dice.random() < luck for labels in sorted({member.labels for member in some})}
    for _ in range(count):
        resting = cohort_map.resting(history)
        atoms = cohort_map.choose(some, HIERARCHY, LEAST, before, resting)
        yield atoms, resting
        before = frozenset(atoms)
        strong = {cohort_map.place(labels, before, HIERARCHY).key for labels, each in strength.items() if each}
        passed = {atom for atom in before if dice.random() < (0.9 if atom in strong else 0.1)}
        history.append(Period(before, before, frozenset(passed)))


@pytest.mark.parametrize("luck", [0, 0.3, 1])
def test_every_tenant_has_one_place_and_no_atom_flaps(luck: float) -> None:
    """A map changes where what rests does and else never; and who comes or goes does so for some weeks at least."""
    dice = random.Random(1)
    changed = 0
    for _ in range(25):
        some = registry(dice)
        found = list(weeks(dice, some, luck, count=104))
        for atoms, _ in found:
            held: dict[str, set[str]] = {}
            for member in some:
                key = cohort_map.place(member.labels, atoms.keys(), HIERARCHY).key
                held.setdefault(key, set()).add(member.contributor)
            assert held.keys() == atoms.keys(), "no atom is empty, no tenant is in one that is not there"
            assert all(len(held[key]) >= KEEP * LEAST or why[:4] in ("what", "the ") for key, why in atoms.items())
        for (atoms, resting), (later_atoms, later_resting) in pairwise(found):
            assert atoms == later_atoms or resting != later_resting
            changed += atoms.keys() != later_atoms.keys()
        for atom in set().union(*(resting for _, resting in found)):
            turns = [week for week, (a, b) in enumerate(pairwise(found)) if (atom in a[1]) != (atom in b[1])]
            assert all(later - first >= PATIENCE for first, later in pairwise(turns))
    assert changed or luck == 1, "else nothing was to be seen"


def test_where_all_gates_fail_all_come_together() -> None:
    """A rung at a time."""
    dice = random.Random(2)
    for _ in range(50):
        some = [member for member in registry(dice) if not member.is_default]
        history: list[Period] = []
        steps = 0
        atoms: frozenset[str] = frozenset()
        while atoms != {EVERYTHING.key}:
            before, atoms = (
                atoms,
                frozenset(cohort_map.choose(some, HIERARCHY, LEAST, atoms, cohort_map.resting(history))),
            )
            history.append(Period(atoms, atoms, frozenset()))
            steps += before != atoms
            assert len(history) <= FAINTLY * len(cohort_map.RUNGS) + 1
        assert steps <= len(cohort_map.RUNGS) + 1


def shipped() -> Hierarchy:
    with (project_directory() / "seeds/reference/cohort_hierarchies.csv").open(newline="") as file:
        return Hierarchy({(row["attribute"], row["value"]): row["parent"] for row in csv.DictReader(file)})


def test_every_value_has_a_place_in_the_shipped_hierarchy() -> None:
    hierarchy = shipped()
    listed = {attribute: {"heard of by nobody"} for attribute in cohort_map.ATTRIBUTES}
    for attribute, value in hierarchy.parents:
        listed[attribute] |= {value} - {"*"}
    for labels in product(*(sorted(listed[attribute]) for attribute in cohort_map.ATTRIBUTES)):
        cohorts = cohort_map.cohorts_of(labels, hierarchy)
        assert cohorts[0] == cohort_map.key(labels)
        assert cohorts[-1] == EVERYTHING.key
        assert len(set(cohorts)) == len(cohorts)


def test_what_a_place_loses_grows_from_rung_to_rung() -> None:
    labels: Labels = ("retail", "eu", "small")
    lost = [cohort_map.place(labels, {key}, HIERARCHY).lost for key in cohort_map.cohorts_of(labels, HIERARCHY)]
    assert lost == sorted(set(lost))
    assert (lost[0], lost[-1]) == (Fraction(0), Fraction(1))


@pytest.mark.parametrize(
    ("wrong", "labels"),
    [
        ({}, set()),
        ({("industry", "*"): None}, {"industry"}),
        ({("region", "uk"): "eu", ("region", "eu"): "emea"}, {"region"}),
        ({("size_band", "small"): "small"}, {"size_band"}),
    ],
)
def test_a_hierarchy_with_a_hole_or_two_meanings_of_a_name_is_found(
    wrong: dict[tuple[str, str], str | None], labels: set[str]
) -> None:
    sql = (project_directory() / "tests/singular/every_label_has_a_wider_cohort.sql").read_text("utf-8")
    with duckdb.connect() as connection:
        connection.execute("create table cohort_hierarchies (attribute text, value text, parent text)")
        rows = [[*place, parent] for place, parent in ({**shipped().parents, **wrong}).items() if parent]
        connection.executemany("insert into cohort_hierarchies values (?, ?, ?)", rows)
        found = connection.execute(sql.replace("{{ ref('cohort_hierarchies') }}", "cohort_hierarchies")).fetchall()
    assert {label for (label,) in found} == labels
