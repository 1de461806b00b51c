"""No arithmetic over all that is published singles out less than a quorum, be the figures as exact as they may.

Whoever adds, subtracts and scales figures gets a vector over tenants in the row space of their structure: all that
unions of disjoint sets and differences of nested ones can reach, to the fixed point, and more. A set of tenants is
singled out where such a vector is nothing outside of it. Linear programming adds what signs and caps tell. What is
promised of two weeks is that of neighbouring ones.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, combinations, islice

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from tests.registries import SEGMENTS, SPEC, WEEKS, Item, Published, published

WORLDS = 40
PRIME = 2**31 - 1

Matrix = NDArray[np.int64]
Sets = Sequence[frozenset[Item]]
IsFew = Callable[[frozenset[Item]], bool]


def matrix(sets: Sets, columns: Sequence[Item]) -> Matrix:
    return np.array([[item in each for item in columns] for each in sets], dtype=np.int64).reshape(-1, len(columns))


def rank(of: Matrix) -> int:
    """Return the rank in exact arithmetic modulo a prime; a minor that is a multiple of it would be an accident."""
    rows, found = of % PRIME, 0
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(rows[found:, column])
        if not len(pivots):
            continue
        rows[[found, found + pivots[0]]] = rows[[found + pivots[0], found]]
        rows[found] = rows[found] * pow(int(rows[found, column]), -1, PRIME) % PRIME
        others = np.arange(len(rows)) != found
        rows[others] = (rows[others] - rows[others][:, [column]] * rows[found] % PRIME) % PRIME
        found += 1
        if found == len(rows):
            break
    return found


def alike(sets: Sets) -> list[frozenset[Item]]:
    """Return the classes of items that no figure tells apart."""
    found: dict[tuple[bool, ...], set[Item]] = defaultdict(set)
    for item in frozenset().union(*sets):
        found[tuple(item in each for each in sets)].add(item)
    return [frozenset(items) for items in found.values()]


def singled_out(sets: Sets, is_few: IsFew) -> Iterator[frozenset[Item]]:
    """Yield each set of few that some combination of figures is about, and nothing else."""
    if not sets:
        return
    classes = alike(sets)
    of_each = matrix(sets, [min(items) for items in classes])
    whole = rank(of_each)
    few = [number for number, items in enumerate(classes) if is_few(items)]
    for some in chain.from_iterable(combinations(few, size) for size in range(1, 5)):
        items = frozenset().union(*(classes[number] for number in some))
        if is_few(items) and rank(np.delete(of_each, some, axis=1)) < whole:
            yield items


def few_users(world: Published) -> IsFew:
    return lambda items: world.weight(items) < SPEC.quorum


def few_contributors(world: Published) -> IsFew:
    return lambda items: len({world.contributors[item] for item in items}) < SPEC.min_tenants


def worlds(**planted: bool) -> Iterator[Published]:
    return (published(random.Random(seed), **planted) for seed in range(WORLDS))


def are_found(found: Iterator[bool], least: int) -> bool:
    """Tell whether so many are, and look at no more than it takes."""
    return sum(islice(filter(None, found), least)) == least


@pytest.fixture(scope="module")
def sound() -> list[Published]:
    return list(worlds())


def in_one_week(world: Published) -> bool:
    return any(any(singled_out(world.of(week), few_users(world))) for week in WEEKS[1:])


def in_two_weeks(world: Published) -> bool:
    """Tell whether the figures of two weeks, side by side as if nothing but the registry changed, single few out."""
    return any(singled_out([items for _, items in world.figures], few_contributors(world)))


def test_no_combination_of_figures_is_about_less_than_a_quorum(sound: list[Published]) -> None:
    assert not any(map(in_one_week, sound))
    assert not any(map(in_two_weeks, sound))
    # or this would show nothing: there are atoms, parents of several, atoms that fail, and changes between weeks
    assert sum(len(world.figures) for world in sound) > 10 * WORLDS
    assert sum(len(alike(world.of(WEEKS[1]))) > len(SEGMENTS) for world in sound) > WORLDS / 2
    fails = [frozenset(world.users) - frozenset().union(*world.of(WEEKS[1])) for world in sound if world.figures]
    assert sum(map(bool, fails)) > WORLDS / 2
    assert sum(set(world.of(WEEKS[1])) != set(world.of(WEEKS[2])) for world in sound) > WORLDS / 4


def test_parents_that_sum_failing_atoms_single_them_out() -> None:
    assert are_found(map(in_one_week, worlds(all_atoms=True)), WORLDS // 4)


def test_atoms_that_are_shown_in_transition_single_out_who_moved() -> None:
    assert are_found(map(in_two_weeks, worlds(transitions=False)), WORLDS // 20)


def naive_mart(world: Published) -> Sets:
    """Return what a mart shows that asks of every cohort that it has five tenants, over every choice of labels."""
    dice = random.Random(len(world.users))
    items = sorted(item for item in world.users if item.segment == SEGMENTS[0])
    labels = {item: (dice.choice("ab"), dice.choice("xyz"), dice.choice("sml")) for item in items}
    cohorts: dict[tuple[str, ...], set[Item]] = defaultdict(set)
    for item, label in labels.items():
        for size in range(4):
            for kept in combinations(range(3), size):
                cohorts[tuple(each if n in kept else "*" for n, each in enumerate(label))].add(item)
    return [frozenset(members) for members in cohorts.values() if len(members) >= SPEC.min_tenants]


def test_a_mart_of_thresholds_singles_tenants_out(sound: list[Published]) -> None:
    found = [next(singled_out(naive_mart(world), few_contributors(world)), None) for world in sound]
    assert sum(items is not None for items in found) > WORLDS / 2


def adopters(world: Published) -> dict[Item, int]:
    """Return how many weighed users of each tenant use a feature: between a fifth and three fifths of them."""
    dice = random.Random(len(world.users))
    return {item: int(dice.uniform(0.2, 0.6) * min(n, SPEC.tenant_cap)) for item, n in world.users.items()}


def width(sets: Sets, values: Mapping[Item, int], item: Item) -> float:
    """Return the greatest less the least that a tenant can have of a value, given the exact sum of each figure."""
    columns = sorted(frozenset().union(*sets))
    sums = [sum(values[each] for each in members) for members in sets]
    wanted = np.array([float(each == item) for each in columns])
    ends = [
        linprog(sign * wanted, A_eq=matrix(sets, columns), b_eq=sums, bounds=(0, SPEC.tenant_cap), method="highs")
        for sign in (1, -1)
    ]
    assert [end.status for end in ends] == [0, 0]
    return float(-ends[1].fun - ends[0].fun)


def test_exact_tables_leave_every_tenant_all_that_it_may_weigh(sound: list[Published]) -> None:
    """Only of a count that is at its caps would exact tables tell much: that is what the noise is for."""
    for world in [world for world in sound if world.of(WEEKS[1])][:10]:
        sets, values = world.of(WEEKS[1]), adopters(world)
        assert min(width(sets, values, min(items)) for items in alike(sets)) > 0.9 * SPEC.tenant_cap


def test_a_mart_of_thresholds_tells_what_some_tenants_have(sound: list[Published]) -> None:
    pinned = 0
    for world in sound[:5]:
        sets, values = naive_mart(world), adopters(world)
        alone = [item for items in alike(sets) if len(items) == 1 for item in items]
        pinned += sum(width(sets, values, item) < 1e-6 for item in alone)
    assert pinned > 0
