"""How far released figures are from the truth, and what they cost: against a flat baseline, and OpenDP by itself.

    python bench/release.py [--tenants 400] [--draws 100] [--rho-parents 0.01]

Tenants of Zipf sizes, users of skewed habits. The truth is tenant-weighted and unbounded; whole error is the root mean
square over cohorts, keys and draws, bias (what bounding does) and noise told apart. All get the same unit, bounds
and rho. The flat baseline gives each metric and level noise of its own, rho split evenly, nothing centred, nothing
reconciled, cells cut to L0. OpenDP is run as it comes, key by key: its Polars path needs a package that is not among
our requirements. It knows no tenants, so it is compared with a truth that does not either. Nothing here is a test.
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
import yaml
from numpy.typing import NDArray

from quorum import figures
from quorum.bounding import Block, Layout
from quorum.figures import Forms, Vector
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


def opendp_by_key(people: Population, layout: Layout) -> Figures:
    """Return the figures of OpenDP's own pipelines, cohort by cohort: counts by category, clamped sums."""
    rho = float(SPEC.rho) / (1 + len(layout.blocks)) / 3
    texts = dp.vector_domain(dp.atom_domain(T=dp.String)), dp.symmetric_distance()
    numbers = dp.vector_domain(dp.atom_domain(T="i64")), dp.symmetric_distance()

    def noised(query: Any, rows_of_a_user: int) -> Any:
        return dp.binary_search_chain(lambda s: query >> dp.m.then_gaussian(s), d_in=rows_of_a_user, d_out=rho)

    count = noised(dp.t.make_count(*texts), 1)
    queries = []
    for block in layout.blocks:
        if block.bound == "clamp":
            queries.append(noised(dp.t.make_clamp(*numbers, bounds=(block.low, block.high)) >> dp.t.then_sum(), 1))
        else:
            keys = [str(n) for n in range(len(block.cells))]
            by_category = dp.t.make_count_by_categories(*texts, keys, null_category=False, MO=dp.L2Distance["f64"])
            queries.append(noised(by_category, block.max_cells))
    cells = [people.contributions(block, bounded="truncated") for block in layout.blocks]
    found = {}
    for cohort in (*ATOMS, *PARENTS):
        members = PARENTS.get(cohort, frozenset({cohort.key}))
        here = np.isin(people.atom_of_tenant[people.tenant], [PLACES[key] for key in members])
        users = np.array([[float(count(["u"] * int(here.sum())))]])
        sums = []
        for block, query, values in zip(layout.blocks, queries, cells, strict=True):
            if block.bound == "clamp":
                answer = [query([int(v) for v in people.values[block.metric][here]])]
            else:
                answer = query([str(key) for key in np.nonzero(values[here])[1]])
            sums.append(np.array([answer], dtype=float))
        found[cohort] = in_units(layout, users, sums)[0]
    return plain_figures(layout, found)


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
    by_key = [opendp_by_key(people, layout) for _ in range(3)]
    seconds = (time.perf_counter() - start) / len(by_key)
    whole, noise, bias = rmse(answers, exact), rmse(answers, ours), rmse([ours], exact)
    flat_whole, flat_noise, flat_bias = rmse(baseline, exact), rmse(baseline, cut), rmse([cut], exact)
    opendp = rmse(by_key, of_all)
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
    print(f"one answer of OpenDP's pipelines, with the values handed over as lists: {seconds:.1f} s")


if __name__ == "__main__":
    main()
