"""A user removed from the raw files moves no vector of any release by more than its sensitivity, lookbacks included.

One run holds an experiment per atom: each atom loses one user, perhaps one of many weeks, with all its rows. The
vectors of all segments of an atom count together, for the user is in one of them. The soak adds users at random, and
one that sends a million events.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import product
from typing import NamedTuple

import pytest

from quorum import public_keys, release, release_control, rules
from quorum.measurement import Plan
from quorum.runner import Dbt
from quorum.simulate_activity import FEATURES
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.neighbours import Row, register, tenant

WEEKS = 2
LAST_WEEK = worlds.LAST_DAY - timedelta(days=6)
Distances = dict[tuple[str, str, date], float]  # by release, atom and week, in units of the sensitivity


def did(home: str, name: str, at: datetime, event_name: str = "page_view", feature: str | None = None) -> Row:
    return {
        "tenant_id": home,
        "event_id": f"{at} {event_name} {feature}",
        "event_name": event_name,
        "feature": feature,
        "occurred_at": at.isoformat(),
        "received_at": at.isoformat(),
        "user_id": name,
        "anonymous_id": None,
    }


def weeks_ago(number: int) -> datetime:
    return worlds.noon(LAST_WEEK - timedelta(weeks=number))


def comes_once(home: str, name: str) -> Iterator[Row]:
    yield did(home, name, weeks_ago(0))


def does_all_it_can(home: str, name: str) -> Iterator[Row]:
    """Have two sessions a day for a week, buy, and use everything."""
    for day, hour, minute in product(range(7), (0, 6), (0, 5, 10, 15)):
        yield did(home, name, weeks_ago(0) + timedelta(days=day, hours=hour, minutes=minute))
    for number, event in enumerate(("checkout", "purchase")):
        yield did(home, name, weeks_ago(0) + timedelta(minutes=number + 1), event)
    for number, feature in enumerate(FEATURES):
        yield did(home, name, weeks_ago(0) + timedelta(days=6, minutes=number), "feature_used", feature)


def has_left(home: str, name: str) -> Iterator[Row]:
    yield did(home, name, weeks_ago(8))


def comes_back(home: str, name: str) -> Iterator[Row]:
    """Be seen now and then for eight weeks, and use something at last."""
    yield from (did(home, name, weeks_ago(number)) for number in (8, 3, 1))
    yield did(home, name, weeks_ago(0), "feature_used", FEATURES[0])


def uses_at_once(home: str, name: str) -> Iterator[Row]:
    yield did(home, name, weeks_ago(0), "feature_used", FEATURES[-1])


def floods(home: str, name: str, events: int = 1_000) -> Iterator[Row]:
    """Send one event after the other, for weeks, each twice."""
    for number in range(events):
        row = did(home, name, weeks_ago(8) + timedelta(minutes=29 * number), "purchase", FEATURES[number % 10])
        yield from (row, row | {"duration_ms": 2**63 - 1})


def floods_without_end(home: str, name: str) -> Iterator[Row]:
    yield from floods(home, name, events=500_000)


Habit = Callable[[str, str], Iterable[Row]]


def whatever(seed: int) -> Habit:
    """Return a habit that is another one for each name."""

    def habit(home: str, name: str) -> Iterator[Row]:
        dice = random.Random(f"{seed} {name}")
        for _ in range(dice.choice((1, 2, 5, 20, 60))):
            at = weeks_ago(dice.choice((0, 0, 0, 1, 2, 4, 7, 8))) + timedelta(minutes=dice.randrange(10_000))
            event = dice.choice(("page_view", "feature_used", "checkout", "purchase", "something else"))
            row = did(home, name, at, event, dice.choice((None, "no feature of the catalog", *FEATURES)))
            odd = dice.choice((None, None, -1, 0, 1.5, math.nan, -math.inf, 2**63 - 1, 2**63, "NaN", "x"))
            yield row | {"duration_ms": odd, "value_minor": odd, "properties": odd}
            if dice.random() < 0.1:
                yield row | {"anonymous_id": "of a device that all share", "received_at": at.isoformat()}

    return habit


OF_WHO_GOES: dict[str, Habit] = {
    each.__name__: each for each in (comes_once, does_all_it_can, comes_back, has_left, floods, uses_at_once)
}
OF_THE_OTHERS: dict[str, Habit] = {
    each.__name__: each for each in (comes_once, does_all_it_can, has_left, uses_at_once)
}
# the caps of the releases are 50 and 20: alone, the last below, at and beyond
OTHERS = (0, 19, 20, 49, 50)
Experiments = Sequence[tuple[Habit, Habit, int]]


class Trial(NamedTuple):
    """Experiments of one run, and what shows that they try: how many move a vector, and how far the furthest does."""

    experiments: Experiments
    share_that_moves: float
    reaches: float  # in units of the sensitivity


WORST = Trial(list(product(OF_WHO_GOES.values(), OF_THE_OTHERS.values(), OTHERS)), 1 / 8, 0.8)
RANDOM = Trial(
    [(whatever(n), whatever(-n), random.Random(n).choice((*OTHERS, 1, 5))) for n in range(1, 501)], 1 / 8, 0.5
)
FLOOD = Trial([(floods_without_end, does_all_it_can, 20)], 0, 0)  # it never enters the funnel


def industry(number: int) -> str:
    return f"experiment{number}"


def rows(experiments: Experiments, *, with_victims: bool) -> Iterator[Row]:
    for number, (victim, theirs, count) in enumerate(experiments):
        home = tenant(industry(number))
        if with_victims:
            yield from victim(home, "victim")
        for other in range(count):
            yield from theirs(home, f"other {other}")
        yield from comes_once(tenant(industry(number), 1), "beside")


def due_weeks(workspace: Workspace) -> list[release.Due]:
    """Return the last weeks of every release; a tenant or two make an atom here."""
    due = []
    for spec in rules.load_policies(workspace, Dbt(workspace), worlds.LAST_DAY).specs:
        few = replace(spec, history=WEEKS, atom_min_contributors=1)
        layout = few.layout({"feature_catalog": sorted(FEATURES)})
        plan = Plan.of(few, layout)
        due += [release.Due(few, start, end, layout, plan, "a policy") for start, end in few.periods(worlds.LAST_DAY)]
    return due


def measured(workspace: Workspace, due: list[release.Due]) -> dict[tuple[str, str, date], list[int]]:
    """Run the night up to the vectors that would get noise."""
    worlds.events_alone(workspace)
    assert public_keys.catalog_keys(workspace) == sorted(FEATURES)
    release_control.write(workspace, due, [each.spec for each in due])
    Dbt(workspace).build("cross_tenant", "cross_tenant")
    found = {}
    for name in {each.spec.name for each in due}:
        query = (
            f"select cohort_key, period_start, list(value order by segment, metric, key) from dp_{name} group by all"
        )
        for cohort, week, values in worlds.fetch(workspace, "cross_tenant", query):
            found[name, cohort, week] = values
    return found


@dataclass
class Pair:
    """How far each vector is from that of the world without the users who go, in units of what is declared."""

    trial: Trial
    distances: Distances
    furthest: dict[str, float]  # by release


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(WORST, id="the worst users"),
        pytest.param(RANDOM, id="any users", marks=pytest.mark.soak),
        pytest.param(FLOOD, id="a flood", marks=pytest.mark.soak),
    ],
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    trial: Trial = request.param
    experiments = trial.experiments
    simulated = worlds.simulated(tmp_path_factory.mktemp("simulated"), tenants=4, users=5)
    register(simulated, [tenant(industry(number), n) for number in range(len(experiments)) for n in range(2)])
    due: list[release.Due] = []
    vectors = []
    for with_victims in (True, False):
        workspace = worlds.sibling(simulated, tmp_path_factory.mktemp("whole" if with_victims else "without"))
        due = due or due_weeks(workspace)
        worlds.land(workspace, "made_up.jsonl", rows(experiments, with_victims=with_victims))
        vectors.append(measured(workspace, due))
    whole, less = vectors
    assert whole.keys() == less.keys(), "the keyset is public, whoever is in the data"
    declared = {(each.spec.name, each.start): each.plan.sensitivity for each in due}
    distances = {
        place: math.dist(vector, less[place]) / declared[place[0], place[2]] for place, vector in whole.items()
    }
    furthest: dict[str, float] = defaultdict(float)
    for (name, *_), distance in distances.items():
        furthest[name] = max(furthest[name], distance)
    return Pair(trial, distances, furthest)


RELEASES = ("engagement", "feature_usage", "funnel_conversion", "retention", "time_to_value")


@pytest.mark.parametrize("name", RELEASES)
def test_one_user_of_many_weeks_stays_within_the_bound(pair: Pair, name: str) -> None:
    further = {(atom, week) for (of, atom, week), distance in pair.distances.items() if of == name and distance > 1}
    assert further == set()
    assert not any(distance for (_, atom, _), distance in pair.distances.items() if not atom.startswith("experiment"))
    moved = {atom for (of, atom, _), distance in pair.distances.items() if of == name and distance}
    assert len(moved) >= pair.trial.share_that_moves * len(pair.trial.experiments), "or this would prove nothing"


@pytest.mark.parametrize("name", RELEASES)
def test_a_smaller_bound_would_be_broken_in_each_release(pair: Pair, name: str) -> None:
    assert pair.furthest.keys() == set(RELEASES)
    assert pair.furthest[name] >= pair.trial.reaches
