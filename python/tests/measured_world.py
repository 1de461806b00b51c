"""A small world with a metric of each kind, measured and made into figures as a release does, whatever its noise is."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from unittest import mock

import numpy as np

from quorum import figures, measurement
from quorum.bounding import Block, Layout
from quorum.measurement import Cells, Cohort, Group, Noise, Plan, measure
from quorum.metrics import Metric
from quorum.policy import ATOM, Spec
from tests import specs
from tests.bounded_vectors import Unit, Value, vector

FEATURES = tuple(f"feature {n}" for n in range(8))
STEPS = ("visit", "cart", "checkout", "purchase")
METRICS = (
    Metric("users", "count", "active users"),
    Metric("adoption", "distinct_users", "share of users of a feature", keys=FEATURES, max_cells=3),
    Metric("spent", "sum", "cents", high=2000),
    Metric("visits", "mean", "visits of a user", low=-5, high=20),
    Metric("per_visit", "ratio", "cents of a visit", numerator="spent", denominator="visits", ceiling=1000),
    Metric("funnel", "histogram", "share of users that got so far", keys=STEPS, shows="at_least"),
    Metric(
        "minutes", "quantile", "minutes of a user", edges=(0, 5, 10, 20, 60), shares=(Decimal("0.5"), Decimal("0.9"))
    ),
)
SPEC = replace(specs.SPEC, rho_atoms=Decimal("0.03"), rho_parents=Decimal("0.02"), metrics=METRICS)

Row = Mapping[str, Any]
Name = tuple[str, ...]  # level, cohort, metric and key of a figure


@dataclass(frozen=True)
class World:
    """What one period of a release is measured over; ``added`` are the vectors of each atom's contributors."""

    spec: Spec
    layout: Layout
    plan: Plan
    cells: Cells
    added: Mapping[str, Sequence[tuple[int, ...]]]

    @property
    def scales(self) -> dict[str, float]:
        """The standard deviation of the noise, by level."""
        return self.plan.scales

    def cohorts(self, noise: Noise, without: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
        """Return the noisy cohorts of one answer; E is all atoms but a few, whatever the noise is."""
        eligible = frozenset(group.id for group in self.cells.groups) - without
        with all_pass():
            return measure(self.spec, self.plan, self.cells, eligible, noise)[1]

    def figures(self, noise: Noise, without: frozenset[str] = frozenset()) -> dict[Name, Row]:
        """Return the figures of one answer, by level, cohort, metric and key."""
        rows = figures.of_answer(self.spec.metrics, self.layout, self.cohorts(noise, without), self.scales)
        return {(row["cohort_level"], row["cohort_key"], row["metric"], str(row["key"])): row for row in rows}


def world(dice: random.Random, industries: int = 2, regions: int = 4, contributors: int = 14) -> World:
    """Make a world of atoms (industries x regions), all of which are a quorum."""
    layout = SPEC.layout({})
    atoms = [
        Cohort(f"i{industry}/r{region}/*", ATOM, f"i{industry}", f"r{region}", "*")
        for industry in range(industries)
        for region in range(regions)
    ]
    parents = {Cohort("*/*/*", "all", "*", "*", "*"): frozenset(atom.key for atom in atoms)}
    for name in sorted({atom.industry for atom in atoms}):
        members = frozenset(atom.key for atom in atoms if atom.industry == name)
        parents[Cohort(f"{name}/*/*", "industry", name, "*", "*")] = members
    added = {
        atom.key: [tuple(vector(layout, [list(_units(dice, layout))])) for _ in range(contributors)] for atom in atoms
    }
    vectors = {Group(atom, None): _total(several) for atom, several in added.items()}
    return World(SPEC, layout, Plan.of(SPEC, layout), Cells(tuple(atoms), parents, (None,), vectors), added)


def _total(vectors: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*vectors, strict=True)))


def _units(dice: random.Random, layout: Layout) -> Iterator[Unit]:
    """Yield the users of one contributor: some tens, a few hundred now and then."""
    for _ in range(min(int(20 * dice.paretovariate(1.1)), 400)):
        yield tuple(_value(dice, block) for block in layout.blocks)


def _value(dice: random.Random, block: Block) -> Value:
    if block.bound == "clamp":
        return int(dice.expovariate(2 / block.high))  # beyond the clamp now and then
    if block.bound == "bins":
        return frozenset({min(int(dice.expovariate(0.7)), len(block.cells) - 1)})
    return frozenset(position for position in range(len(block.cells)) if dice.random() < 0.6 / (position + 1))


def all_pass() -> AbstractContextManager[Any]:
    """Let each group pass the gate, whatever it counts."""
    return mock.patch.object(measurement, "eligible_groups", lambda _spec, _plan, exact, _noisy: [True] * len(exact))


def exact(values: Any, _scale: float) -> list[int]:
    return list(values)


def rounded_normal(seed: int) -> Noise:
    """Return seeded noise that no test can tell from the real one.

    A discrete Gaussian of scale s has the mass of a normal density at the integers, over their sum; at scales of
    hundreds of thousands, as here, it and a rounded normal differ by less than one part in a hundred thousand.
    """
    generator = np.random.default_rng(seed)

    def noise(values: Any, scale: float) -> list[int]:
        drawn = np.rint(generator.normal(0, scale, len(values))).astype(np.int64)
        return [int(value) for value in np.array(values, dtype=np.int64) + drawn]

    return noise


def rescaled(plan: Plan, factor: float) -> Plan:
    """Return a plan whose noise is planted wrong."""
    return replace(
        plan,
        atom_scale=plan.atom_scale * factor,
        parent_scales={level: scale * factor for level, scale in plan.parent_scales.items()},
    )
