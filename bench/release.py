"""How far released figures are from the truth, and what they cost: against a flat baseline, and OpenDP by itself.

    python bench/release.py [--tenants 400] [--draws 100] [--rho-parents 0.01]

Tenants of Zipf sizes, users of skewed habits. The truth is tenant-weighted and unbounded; whole error is the root mean
square over cohorts, keys and draws, bias (what bounding does) and noise told apart. All get the same unit, bounds
and rho. The flat baseline gives each metric and level noise of its own, rho split evenly, nothing centred, nothing
reconciled, cells cut to L0. OpenDP's own Polars path gets the same rho, split the same way, and takes the keys
as known. It knows no tenants, so it is compared with a truth that does not either: there the largest tenants decide,
and more users are in each figure. Nothing here is a test.
"""

import argparse
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import opendp.prelude as dp
import polars as pl
import yaml
from numpy.typing import NDArray

from quorum import figures
from quorum.bounding import Block, Layout
from quorum.linear_forms import Forms, Vector
from quorum.measurement import Cells, Cohort, Group, Plan, measure
from quorum.metrics import Metric
from quorum.policy import ATOM, Spec, resolve
from quorum.settings import project_directory

dp.enable_features("contrib")

Array = NDArray[Any]
FEATURES, STEPS, REGIONS, EDGES = 22, 5, 4, (0, 5, 10, 20, 40, 80)
METRICS = (
    Metric("users", "count", "active users"),
    Metric("adoption", "distinct_users", "share", keys=tuple(f"f{n}" for n in range(FEATURES)), max_cells=5),
    Metric("sessions", "sum", "sessions", high=60),
    Metric("value", "mean", "cents", high=6000),
    Metric("value_per_session", "ratio", "cents", numerator="value", denominator="sessions", ceiling=500),
    Metric("funnel", "histogram", "share", keys=tuple(f"s{n}" for n in range(STEPS)), shows="at_least"),
    Metric("minutes", "quantile", "minutes", edges=EDGES, shares=(Decimal("0.5"), Decimal("0.9"))),
)
# bounds and rho are those of a release that ships
SHIPPED = yaml.safe_load((project_directory() / "models/release/_release__models.yml").read_text("utf-8"))["models"]
SPEC = replace(resolve(SHIPPED[0]["config"]["meta"]["release"], {}), metrics=METRICS)
CAP = SPEC.tenant_cap


@dataclass(frozen=True)
class Population:
    """Users in the order of their tenants; each array has a row per user, ``features`` a column per feature."""

    tenant: Array
    atom_of_tenant: Array
    features: Array
    values: Mapping[str, Array]  # by metric; of partitions, the bin

    @classmethod
    def of(cls, tenants: int, dice: np.random.Generator) -> "Population":
        sizes = np.maximum((20 * tenants / np.arange(1, tenants + 1) ** 1.1).astype(int), 8)
        tenant = np.repeat(np.arange(tenants), sizes)
        users = len(tenant)
        zeal = dice.lognormal(0, 1, users) * dice.lognormal(0, 0.3, tenants)[tenant]
        popular = 0.6 / np.arange(1, FEATURES + 1) ** 0.8
        sessions = dice.poisson(4 * zeal)
        return cls(
            tenant,
            dice.permutation(tenants) % (2 * REGIONS),
            dice.random((users, FEATURES)) < 1 - np.exp(-popular * zeal[:, None]),
            {
                "sessions": sessions,
                "value": (sessions * dice.lognormal(3.5, 0.6, users)).astype(int),
                "funnel": np.minimum(dice.geometric(0.45, users) - 1, STEPS - 1),
                "minutes": np.searchsorted(EDGES, dice.lognormal(2, 1, users), side="right") - 1,
            },
        )

    def contributions(self, block: Block, *, bounded: str) -> Array:
        """Return what each user adds to each cell of a block, in units of its scale; bounded as told."""
        if block.bound == "clamp":
            values = self.values[block.metric][:, None].astype(float)
            return np.asarray(values if bounded == "not" else np.clip(values, block.low, block.high))
        if block.bound == "bins":
            return np.eye(len(block.cells))[self.values[block.metric]]
        cells = self.features.astype(float)
        touched = np.maximum(cells.sum(axis=1, keepdims=True), 1)
        if bounded == "scaled":
            return np.asarray(cells * np.minimum(1, np.sqrt(block.max_cells / touched)))
        if bounded == "truncated":
            order = np.argsort(np.where(self.features, np.random.default_rng(9).random(cells.shape), 2), axis=1)
            cells[np.argsort(order, axis=1) >= block.max_cells] = 0
        return cells

    def by_atom(self, of_users: Array, *, weighted: bool = True) -> Array:
        """Sum by tenant, weigh each as at most CAP users, and sum by atom."""
        sizes = np.bincount(self.tenant)
        weights = np.minimum(1, CAP / sizes) if weighted else np.ones(len(sizes))
        found: Array = np.zeros((2 * REGIONS, of_users.shape[1]))
        weighed = np.add.reduceat(of_users, np.cumsum(sizes) - sizes, axis=0) * weights[:, None]
        np.add.at(found, self.atom_of_tenant, weighed)
        return found


def in_units(layout: Layout, count: Array, blocks: list[Array]) -> Array:
    """Write counts and sums per cohort as vectors of the layout, whole numbers as SQL makes them."""
    parts = [count * layout.count_scale] + [
        block.scale * sums - block.centre * count for block, sums in zip(layout.blocks, blocks, strict=True)
    ]
    return np.asarray(np.rint(np.hstack(parts)))


def vectors(people: Population, layout: Layout, bounded: str, *, weighted: bool = True) -> Array:
    """Return each atom's vector."""
    everyone = np.ones((len(people.tenant), 1))
    sums = [people.by_atom(people.contributions(b, bounded=bounded), weighted=weighted) for b in layout.blocks]
    return in_units(layout, people.by_atom(everyone, weighted=weighted), sums)


ATOMS = tuple(
    Cohort(f"i{n // REGIONS}/r{n % REGIONS}/*", ATOM, f"i{n // REGIONS}", f"r{n % REGIONS}", "*")
    for n in range(2 * REGIONS)
)
PLACES = {atom.key: place for place, atom in enumerate(ATOMS)}
PARENTS = {Cohort("*/*/*", "all", "*", "*", "*"): frozenset(atom.key for atom in ATOMS)} | {
    Cohort(f"{name}/*/*", "industry", name, "*", "*"): frozenset(a.key for a in ATOMS if a.industry == name)
    for name in ("i0", "i1")
}


def cohort_vectors(atoms: Array) -> dict[Cohort, Array]:
    whole = {parent: atoms[[PLACES[key] for key in members]].sum(axis=0) for parent, members in PARENTS.items()}
    return {**dict(zip(ATOMS, atoms, strict=True)), **whole}


Figures = dict[tuple[str, str, str, str], float | None]  # by level, cohort, metric and key


def plain_figures(layout: Layout, cohorts: Mapping[Cohort, Array]) -> Figures:
    """Return the figures of vectors as they stand."""
    forms, none = Forms(layout), np.zeros((1 + len(layout.cells),) * 2)
    return {
        (cohort.level, cohort.key, metric.name, str(figure.key)): figure.estimate
        for cohort, values in cohorts.items()
        for metric in METRICS
        for figure in figures.figures(metric, forms, Vector(values, none))
    }


def released(spec: Spec, layout: Layout, atoms: Array) -> Figures:
    """Return the figures of one answer, by the code of the release."""
    plan = Plan.of(spec, layout)
    groups = {Group(a.key, None): tuple(int(v) for v in row) for a, row in zip(ATOMS, atoms, strict=True)}
    _, cohorts = measure(spec, plan, Cells(ATOMS, PARENTS, (None,), groups))
    scales = plan.scales
    return {
        (row["cohort_level"], row["cohort_key"], row["metric"], str(row["key"])): row["estimate"]
        for row in figures.of_answer(spec.metrics, layout, cohorts, scales)
    }


def flat(layout: Layout, cohorts: Mapping[Cohort, Array], dice: np.random.Generator) -> Figures:
    """Return the figures of the flat baseline: each metric and level for itself."""
    rho = float(SPEC.rho) / (1 + len(layout.blocks)) / 3
    distances = [1.0]
    for block in layout.blocks:
        if block.bound == "clamp":
            distance = float(max(block.high, -block.low))
        else:
            most = block.max_cells
            distance = max(math.sqrt(most), math.sqrt(min(2 * most, len(block.cells))) * CAP / (CAP + 1))
        distances += [distance] * len(block.cells)
    units = np.array([layout.count_scale, *(scale for scale, _ in layout.units)], dtype=float)
    centres = np.array([0.0, *(centre for _, centre in layout.units)])
    found = {}
    for cohort, values in cohorts.items():
        noise = units * np.array(distances) / math.sqrt(2 * rho) * dice.normal(size=len(units))
        # a sum that was measured uncentred, said in units of a centred one
        found[cohort] = values + noise - centres * noise[0] / layout.count_scale
    return plain_figures(layout, found)


def opendp_polars(people: Population, layout: Layout) -> Figures:
    """Return the figures of OpenDP's own path: a query per level and metric, as its users would write it."""
    atoms = people.atom_of_tenant[people.tenant]
    found: dict[Cohort, Array] = {}
    for level in dict.fromkeys(cohort.level for cohort in (*ATOMS, *PARENTS)):
        cohorts = [cohort for cohort in (*ATOMS, *PARENTS) if cohort.level == level]
        home = {atom: cohort for cohort in cohorts for atom in PARENTS.get(cohort, frozenset({cohort.key}))}
        of_user = np.array([cohorts.index(home[atom.key]) for atom in ATOMS])[atoms]
        users = noisy({"cohort": of_user}, dp.len(signed=True), len(cohorts), 1, 1, layout)
        sums = []
        for block in layout.blocks:
            if block.bound == "clamp":
                total = pl.col("value").fill_null(0).dp.sum(bounds=(block.low, block.high))  # type: ignore[attr-defined]
                rows = {"cohort": of_user, "value": people.values[block.metric].astype(np.int64)}
                sums.append(noisy(rows, total, len(cohorts), 1, 1, layout))
            else:
                who, cell = np.nonzero(people.contributions(block, bounded="truncated"))
                rows = {"cohort": of_user[who], "cell": cell}
                most = block.max_cells if block.bound == "cells" else 1
                sums.append(noisy(rows, dp.len(signed=True), len(cohorts), len(block.cells), most, layout))
        found |= dict(zip(cohorts, in_units(layout, users, sums), strict=True))
    return plain_figures(layout, found)


def noisy(rows: Mapping[str, Array], query: Any, cohorts: int, cells: int, most: int, layout: Layout) -> Array:
    """Return what OpenDP's Polars path answers (cohorts x cells), where a user is in ``most`` groups, once in each."""
    by = [name for name in ("cohort", "cell") if name in rows]
    context = dp.Context.compositor(
        data=pl.LazyFrame(rows),
        privacy_unit=dp.unit_of(contributions=[dp.polars.Bound(by=by, per_group=1, num_groups=most)]),
        privacy_loss=dp.loss_of(rho=float(SPEC.rho) / (1 + len(layout.blocks)) / 3),
        split_evenly_over=1,
        margins=[dp.polars.Margin(by=by, max_length=10**7, max_groups=cohorts * cells, invariant="keys")],
    )
    answered = context.query().group_by(*by).agg(query.alias("answer")).release().collect()
    found = np.zeros((cohorts, cells))
    for row in answered.iter_rows(named=True):
        found[row["cohort"], row.get("cell", 0)] = row["answer"]
    return found


def rmse(found: list[Figures], truth: Figures) -> dict[tuple[str, str], float]:
    """Return the root mean square error by metric and level, over the figures that have a value everywhere."""
    squares: dict[tuple[str, str], list[float]] = {}
    for each in found:
        for name, true in truth.items():
            value = each[name]
            if value is not None and true is not None:
                squares.setdefault((name[2], name[0]), []).append((value - true) ** 2)
    return {name: math.sqrt(np.mean(each)) for name, each in squares.items()}


def seconds_per_answer(people: Population) -> dict[str, float]:
    """Return what one answer takes where it has one metric alone: noise and figures of eleven cohorts."""
    found = {}
    for metric in METRICS:
        parts = (metric.name, metric.numerator, metric.denominator)
        spec = replace(SPEC, metrics=tuple(each for each in METRICS if each.name in parts))
        atoms = vectors(people, layout := spec.layout({}), "scaled")
        start = time.perf_counter()
        released(spec, layout, atoms)
        found[metric.name] = time.perf_counter() - start
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tenants", type=int, default=400)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--rho-parents", type=Decimal, default=SPEC.rho_parents, help="the rest of rho is for atoms")
    told = parser.parse_args()
    spec = replace(SPEC, rho_atoms=SPEC.rho - told.rho_parents, rho_parents=told.rho_parents)
    dice = np.random.default_rng(1)
    people = Population.of(told.tenants, dice)
    layout = SPEC.layout({})
    bounded, truncated = (vectors(people, layout, how) for how in ("scaled", "truncated"))
    every = (vectors(people, layout, "not"), bounded, truncated, vectors(people, layout, "not", weighted=False))
    exact, ours, cut, of_all = (plain_figures(layout, cohort_vectors(each)) for each in every)

    answers = [released(spec, layout, bounded) for _ in range(told.draws)]
    baseline = [flat(layout, cohort_vectors(truncated), dice) for _ in range(told.draws)]
    start = time.perf_counter()
    by_polars = [opendp_polars(people, layout)]  # once: it takes a minute and more
    seconds = time.perf_counter() - start
    whole, noise, bias = rmse(answers, exact), rmse(answers, ours), rmse([ours], exact)
    flat_whole, flat_noise, flat_bias = rmse(baseline, exact), rmse(baseline, cut), rmse([cut], exact)
    opendp = rmse(by_polars, of_all)
    times = seconds_per_answer(people)
    print(
        f"{len(people.tenant):,} users of {told.tenants} tenants, rho {SPEC.rho}, of which parents {spec.rho_parents}"
    )
    heads = ("noise", "bias", "whole", "flat:noise", "bias", "whole", "of noise", "ratio", "opendp", "ratio", "ms")
    print(f"{'metric':18} {'level':9}", *(f"{head:>10}" for head in heads))
    for metric in METRICS:
        for level in ("atom", "industry", "all"):
            at = (metric.name, level)
            row = [each[at] for each in (noise, bias, whole, flat_noise, flat_bias, flat_whole)]
            row += [noise[at] / flat_noise[at], whole[at] / flat_whole[at], opendp[at], whole[at] / opendp[at]]
            row.append(1000 * times[metric.name])
            print(f"{metric.name:18} {level:9}", *(f"{each:10.3g}" for each in row))
    print(
        f"one answer of OpenDP's Polars path: {seconds:.1f} s; ours, all metrics at once: {sum(times.values()):.1f} s"
    )


if __name__ == "__main__":
    main()
