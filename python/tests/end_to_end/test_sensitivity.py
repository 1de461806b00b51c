"""A user removed from the raw files moves each vector that gets noise by no more than the declared sensitivity.

The vectors come through the real SQL, from landing files to bounded cells. One run holds many experiments: a vector
belongs to one atom and one week, atoms are disjoint sets of tenants, and each made-up user lives in one week. So each
pair of an atom and a week may lose one user of its own, always with all the rows that this user has.
"""

import gzip
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from quorum import public_keys, release, release_control, rules
from quorum.measurement import Plan
from quorum.runner import Dbt
from quorum.simulate_activity import FEATURES
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.neighbours import Line, Row, Unit, instant, register, tenant, user

Place = tuple[str, date]  # the industry of an atom and the first day of a week: where one vector is measured
Distances = dict[Place, float]  # in units of the declared sensitivity

# Each week has bounds of its own: SQL takes its numbers from the rows of the period, the noise from the same layout.
# These are max_cells and tenant_cap.
BOUNDS: tuple[tuple[int, int], ...] = ((5, 50), (4, 10), (2, 11), (3, 10))
# How many others a tenant has, as caps and users: with the one who goes, these are 1, C, C + 1 and 2C.
OTHERS = ((0, 0), (1, -1), (1, 0), (2, -1))
WEEKS = len(BOUNDS) * len(OTHERS)

HALF, OTHER_HALF = FEATURES[:5], FEATURES[5:]
# What the others use, and what the one who goes uses: an atom each.
GRID = list(product(((), HALF, FEATURES), ((), OTHER_HALF, FEATURES)))
ODD, TWIN, OTHER, UNLISTED = tenant("odd", 0), tenant("odd", 1), tenant("odd", 2), "unknown-00"
INDUSTRIES = [*(f"grid{number}" for number in range(len(GRID))), "odd", "ties", "copies"]


def crowd(home: str, count: int, week: date, features: Collection[str], **more: Any) -> list[Row]:
    return [row for number in range(count) for row in user(home, f"user {number}", week, features, **more)]


def odd(week: date, features: Collection[str], **more: Any) -> Iterator[Row]:
    return user(ODD, "victim", week, features, **more)


NO_VALUES: tuple[Any, ...] = (math.nan, math.inf, -1, 2**63 - 1, 2**63, 10**400, "NaN", "-0", {"a": []}, None)
NO_TIMES = ("soon", "0001-01-01", "9999-12-31", "294247-01-10T04:00:54Z", "-infinity", "infinity", None)

# The rows of the one who goes come first; the tenant is at its cap in any case.
ODDITIES: dict[str, Callable[[date, int], Iterable[Row]]] = {
    "a flood": lambda week, _cap: [
        row | {"event_id": f"{n} {row['event_id']}"} for n in range(50) for row in odd(week, FEATURES)
    ],
    "one person in two tenants": lambda week, _cap: [
        *odd(week, FEATURES),
        *user(OTHER, "victim", week, HALF),
    ],
    "an event id that all users share": lambda week, cap: [
        *odd(week, OTHER_HALF, event_id="1"),
        *crowd(OTHER, cap, week, HALF, event_id="1"),
    ],
    "an owner of two tenants": lambda week, cap: [
        *odd(week, OTHER_HALF),
        *crowd(TWIN, cap, week, FEATURES),
    ],
    "a device that a user has too, and a user of its name": lambda week, _cap: [
        *odd(week, OTHER_HALF, user_id=None, anonymous_id=f"victim {week}"),
        *user(ODD, "user 0", week, FEATURES, anonymous_id=f"victim {week}"),
        *user(ODD, "victim", week, HALF),
    ],
    "values that are none": lambda week, _cap: [
        row | {"duration_ms": value, "value_minor": value, "properties": value}
        for row, value in zip(odd(week, FEATURES), NO_VALUES, strict=True)
    ],
    "no event ids": lambda week, _cap: odd(week, OTHER_HALF, event_id=None),
    "an id in several spellings": lambda week, _cap: [
        row
        for name in ("VICTIM", "  victim", "Victim")
        for row in odd(week, OTHER_HALF, user_id=f"{name} {week}", event_id=None)
    ],
    "times that are none": lambda week, _cap: [
        *odd(week, OTHER_HALF),
        *(row for t in NO_TIMES for row in odd(week, FEATURES, occurred_at=t, received_at=t, event_id=None)),
        *(row for t in NO_TIMES for row in odd(week, OTHER_HALF, received_at=t, event_id=None)),
    ],
    "the first and the last moment of a week": lambda week, _cap: [
        *odd(week, HALF, occurred_at=instant(week, 0, time.min)),
        *odd(week, OTHER_HALF, occurred_at=instant(week, 6, time.max), event_id=None),
    ],
    "the only user of a tenant on no list": lambda week, _cap: user(UNLISTED, "victim", week, FEATURES),
}


class World:
    """All that lands, who would be missed most at each place, and who else is there."""

    def __init__(self, due: list[release.Due], simulated: Workspace) -> None:
        self.lines = list(_simulated(simulated))
        self.victims: dict[Place, Unit] = {}
        self.units: dict[Place, list[Unit]] = defaultdict(list)
        for each, (caps, more) in zip(due, len(BOUNDS) * OTHERS, strict=True):
            self._fill_grid(each.start, caps * each.spec.tenant_cap + more)
        for each, oddity in zip(due[-len(ODDITIES) :], ODDITIES.values(), strict=True):
            self._add(each.start, oddity(each.start, each.spec.tenant_cap))
            self._add(each.start, crowd(ODD, each.spec.tenant_cap, each.start, HALF))
            self._add_ties(each.start, each.spec.tenant_cap)
        self._add_copies(due[-1].start, due[-1].spec.tenant_cap)

    def _fill_grid(self, week: date, others: int) -> None:
        for number, (theirs, its) in enumerate(GRID):
            home, beside = tenant(f"grid{number}", 0), tenant(f"grid{number}", 1)
            self._add(week, crowd(home, others, week, theirs))
            self._add(week, user(home, "victim", week, its))
            self._add(week, crowd(beside, 3, week, FEATURES))

    def _add_ties(self, week: date, cap: int) -> None:
        """Give each user two accounts of the same events at the same time, in two files; only one can be kept."""
        home = tenant("ties")
        self._add(week, crowd(home, cap, week, HALF), f"ties-{week}-1.jsonl")
        self._add(week, user(home, "victim", week, HALF), f"ties-{week}-1.jsonl")
        self._add(week, crowd(home, cap, week, OTHER_HALF), f"ties-{week}-2.jsonl")

    def _add_copies(self, week: date, cap: int) -> None:
        """Let two tenants land the same bytes, but for one user more of the second."""
        for number in range(2):
            home = tenant("copies", number)
            file = f"tenant={home}/events.jsonl"
            self._add(week, crowd(home, cap, week, HALF), file)
        self._add(week, user(home, "victim", week, OTHER_HALF), file)

    def _add(self, week: date, rows: Iterable[Row], file: str = "made_up.jsonl") -> None:
        for row in rows:
            unit = Unit.of(row)
            assert unit is not None, "made-up rows belong to somebody"
            place = (unit.tenant.split("-")[0], week)
            self.units[place].append(unit)
            if unit.id.startswith("victim"):
                self.victims.setdefault(place, unit)
            # where a folder names the tenant, the rows need not
            named = {} if file.startswith("tenant=") else {"tenant_id": unit.tenant}
            self.lines.append(Line(file, unit, json.dumps({**row, "tenant_id": None, **named})))

    def write(self, workspace: Workspace, without: Collection[Unit] = ()) -> None:
        files: dict[str, list[str]] = defaultdict(list)
        for line in self.lines:
            if line.unit not in without:
                files[line.file].append(line.text)
        for name, texts in files.items():
            worlds.land(workspace, name, texts)


def _simulated(workspace: Workspace) -> Iterator[Line]:
    for file in sorted((workspace.landing / "quorum").iterdir()):
        for text in gzip.decompress(file.read_bytes()).decode().splitlines():
            try:
                yield Line(file.stem, Unit.of(json.loads(text)), text)
            except ValueError:  # half a line, which the simulator cut
                yield Line(file.stem, None, text)


def due_weeks(workspace: Workspace) -> list[release.Due]:
    """Return the last weeks, each with bounds of its own."""
    specs = rules.load_policies(workspace, Dbt(workspace), worlds.LAST_DAY).specs
    [declared] = [spec for spec in specs if spec.name == "feature_usage"]
    weeks = replace(declared, history=WEEKS).periods(worlds.LAST_DAY)
    due = []
    for (start, end), ((max_cells, tenant_cap), _) in zip(weeks, product(BOUNDS, OTHERS), strict=True):
        metrics = tuple(replace(metric, max_cells=max_cells) for metric in declared.metrics)
        spec = replace(declared, metrics=metrics, tenant_cap=tenant_cap)
        layout = spec.layout({"feature_catalog": sorted(FEATURES)})
        due.append(release.Due(spec, start, end, layout, Plan.of(spec, layout), "a policy"))
    return due


def measure(workspace: Workspace, due: list[release.Due]) -> dict[Place, list[int]]:
    """Run the night up to the vectors that would get noise."""
    worlds.events_alone(workspace)
    assert public_keys.catalog_keys(workspace) == sorted(FEATURES)
    release_control.write(workspace, due, [each.spec for each in due])
    Dbt(workspace).build("cross_tenant", "cross_tenant")
    query = "select cohort_key, period_start, list(value order by metric, key) from dp_feature_usage group by all"
    cells = worlds.fetch(workspace, "cross_tenant", query)
    return {(cohort.split("/")[0], week): values for cohort, week, values in cells}


@dataclass
class Experiment:
    """A base, and the means to make neighbours of it."""

    base: Workspace
    world: World
    due: list[release.Due]
    vectors: dict[Place, list[int]]

    def without(self, units: Collection[Unit], root: Path) -> Distances:
        """Remove users from the raw files, and return how far the vectors are from the base's."""
        neighbour = worlds.sibling(self.base, root, keep=lambda _file: False)
        self.world.write(neighbour, without=units)
        vectors = measure(neighbour, self.due)
        assert vectors.keys() == self.vectors.keys(), "the keyset is public, whoever is in the data"
        declared = {each.start: each.plan.sensitivity for each in self.due}
        return {place: math.dist(vector, self.vectors[place]) / declared[place[1]] for place, vector in vectors.items()}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    simulated = worlds.simulated(tmp_path_factory.mktemp("simulated"), tenants=6, users=20)
    # as many per industry as make an atom
    homes = [tenant(industry, number) for industry in INDUSTRIES for number in range(21)]
    register(simulated, homes, twins=(ODD, TWIN))
    base = worlds.sibling(simulated, tmp_path_factory.mktemp("base"), keep=lambda _file: False)
    due = due_weeks(base)
    world = World(due, simulated)
    world.write(base)
    return Experiment(base, world, due, measure(base, due))


@pytest.fixture(scope="module")
def worst(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Distances:
    """Remove the victim of each place."""
    return experiment.without(set(experiment.world.victims.values()), tmp_path_factory.mktemp("worst"))


@pytest.mark.parametrize("industry", [*INDUSTRIES, "unknown"])
def test_the_worst_users_stay_within_the_bound(experiment: Experiment, worst: Distances, industry: str) -> None:
    distances = {week: distance for (where, week), distance in worst.items() if where == industry}
    assert {week for week, distance in distances.items() if distance > 1} == set()
    # no vector moves without a loss of its own; and one that lost a user mostly does, or this would prove nothing
    lost = {week for where, week in experiment.world.victims if where == industry}
    moved = {week for week, distance in distances.items() if distance}
    assert moved <= lost
    assert len(moved) >= len(lost) / 2


@pytest.mark.parametrize("others", range(3), ids=["the only user", "at the cap", "beyond the cap"])
@pytest.mark.parametrize("bounds", range(len(BOUNDS)))
def test_a_bound_a_tenth_smaller_would_be_broken(
    experiment: Experiment, worst: Distances, bounds: int, others: int
) -> None:
    week = experiment.due[bounds * len(OTHERS) + others].start
    assert max(worst[f"grid{number}", week] for number in range(len(GRID))) > 0.9


def test_any_users_stay_within_the_bound(experiment: Experiment, tmp_path: Path) -> None:
    dice, world = random.Random(7), experiment.world
    lost = {place: dice.choice(units) for place, units in world.units.items() if dice.random() < 0.8}
    simulated = dice.choice([line.unit for line in world.lines if line.unit and line.file.startswith("20")])
    distances = experiment.without({simulated, *lost.values()}, tmp_path)

    assert {place for place, distance in distances.items() if distance > 1} == set()
    moved = {place for place, distance in distances.items() if distance}
    assert {place for place in moved if place[0] != "*"} <= lost.keys()
    assert {place for place in moved if place[0] == "*"} != set(), "the simulated user is in the atom of all others"
    assert len(moved) > len(lost) / 2


def readers(manifest: Any, model: str) -> set[str]:
    """Return what dbt builds or shows from a model; its own tests count rows and keep none."""
    return {
        node.name
        for node in [*manifest.nodes.values(), *manifest.exposures.values()]
        if f"model.quorum.{model}" in node.depends_on_nodes and node.resource_type != "test"
    }


def test_nothing_in_dbt_reads_the_bounded_cells(experiment: Experiment) -> None:
    manifest = Dbt(experiment.base).manifest()
    assert readers(manifest, "cohort_atoms") >= {"dp_feature_usage"}, "else this test would find nothing"
    cells = [node.name for node in manifest.nodes.values() if node.name.startswith("dp_")]
    assert cells
    assert {model: readers(manifest, model) for model in cells} == {model: set() for model in cells}


def test_what_is_raw_or_exact_is_private_to_its_group(experiment: Experiment) -> None:
    models = [node for node in Dbt(experiment.base).manifest().nodes.values() if node.resource_type == "model"]
    open_models = {node.name for node in models if node.group == "restricted" and node.access != "private"}
    # the event contract, where it changed, and the pseudonyms of whom the operator lists
    assert open_models == {"int_events", "int_event_changes", "int_listed_units"}
    assert {node.name for node in models if node.group == "cross_tenant" and node.access != "private"} == set()
    assert {node.name for node in models if node.access == "public"} == {
        node.name for node in models if node.name.startswith("mart_")
    }
