"""No Gaussian noise of any shape has smaller errors than what a release uses.

At one unit of rho, noise of covariance V hides a set of differences if v' V^-1 v <= 1 for each v of them: they lie in
an ellipsoid. The least weighted trace of such a V is the largest squared sum of singular values of a weighted second
moment, over all distributions on the differences (duality); here both are brought together from outside.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from quorum.bounding import Block, Layout, layout
from quorum.consistency import Array, reconcile
from quorum.metrics import Metric

CAP = 20


def mean(name: str, low: int, high: int, wanted: str | None = None) -> Metric:
    return Metric(name, "mean", "", low=low, high=high, wanted_error=None if wanted is None else Decimal(wanted))


def shares(kind: str, keys: str, max_cells: int = 0) -> Metric:
    return Metric(f"{kind} of {keys}", kind, "", keys=tuple(keys), max_cells=max_cells)


RELEASES: dict[str, tuple[Metric, ...]] = {
    "one mean": (mean("a", 0, 30),),
    "three means": (mean("a", 0, 30), mean("b", 0, 600), mean("c", -7, 7)),
    "three means that are wanted apart": (mean("a", 0, 30, "0.1"), mean("b", 0, 600, "9"), mean("c", 0, 7)),
    "shares of users": (shares("distinct_users", "abcde", 3),),
    "a mean and shares": (mean("a", 0, 30), shares("distinct_users", "abc", 2)),
    "steps of a funnel": (shares("histogram", "abc"),),
    "bins of a quantile": (Metric("q", "quantile", "", edges=tuple(range(7)), shares=(Decimal("0.5"),)),),
    "a mean and steps": (mean("a", 0, 30), shares("histogram", "abc")),
}


def of_one_unit(block: Block) -> Array:
    """Return the extreme values that a unit may add to a metric, each measured from where the release does."""
    if block.is_partition:
        return np.eye(len(block.cells))
    low, high = (block.low, block.high) if block.bound == "clamp" else (0, 1)
    return np.array(list(itertools.product((-1, 1), repeat=len(block.cells)))) * (high - low) / 2


def differences(of: Layout) -> Array:
    """Return what one unit may change: it is added below the cap, and beyond it moves the mean of the others."""
    adds = [of_one_unit(block) for block in of.blocks]
    moves = [np.unique([a - b for a in add for b in add], axis=0) for add in adds]
    added, moved = (np.array([np.concatenate(each) for each in itertools.product(*sets)]) for sets in (adds, moves))
    moved = moved[np.abs(moved).sum(axis=1) > 0] * of.tenant_cap / (of.tenant_cap + 1)
    return np.vstack([np.insert(added, 0, 1, axis=1), np.insert(moved, 0, 0, axis=1)])


def weights(of: Layout, metrics: Sequence[Metric]) -> Array:
    """Return what the variance of each cell counts for, as the release weighs it; next to nothing for the count."""
    weight = [0.0]
    for metric, block in zip(metrics, of.blocks, strict=True):
        wanted = float(metric.wanted_error) if metric.wanted_error else math.sqrt(block.diameter2) / block.scale
        weight += [1 / wanted**2 / len(block.cells)] * len(block.cells)
    return np.array([1e-9 * max(weight), *weight[1:]])


def least_error(found: Array, weight: Array) -> tuple[float, float]:
    """Return bounds from below and above on the least weighted trace of noise that hides all differences."""
    vectors = found * np.sqrt(weight)
    chance = np.full(len(vectors), 1 / len(vectors))
    below, above = 0.0, math.inf
    for _ in range(3_000):
        values, axes = np.linalg.eigh((vectors.T * chance) @ vectors)
        roots = np.sqrt(np.maximum(values, 1e-24 * values.max()))
        below = max(below, float(roots.sum() ** 2))
        shape = (axes * roots) @ axes.T * roots.sum()
        lengths = np.einsum("ij,jk,ik->i", vectors, np.linalg.pinv(shape, hermitian=True), vectors)
        above = min(above, float(np.trace(shape) * lengths.max()))  # the shape, widened until it hides all
        chance = chance * lengths / (chance @ lengths)
    return below, above


def error(of: Layout, weight: Array) -> float:
    """Return the weighted trace of the noise of a release after reconciliation, at one unit of rho."""
    noise = of.sensitivity - math.sqrt(len(of.cells))  # rounding to integers left out: it is a millionth
    vector = [0] * (1 + len(of.cells))
    reconciled = reconcile([["atom"]], [vector], [noise], of)
    units = np.array([of.count_scale, *(scale for scale, _ in of.units)])
    return float(weight @ (reconciled.variances[0] * np.diag(reconciled.covariance) / units**2))


@pytest.mark.parametrize("name", RELEASES)
def test_no_other_shape_of_noise_has_less_error(name: str) -> None:
    of = layout(RELEASES[name], {}, CAP)
    weight = weights(of, RELEASES[name])
    below, above = least_error(differences(of), weight)
    assert above == pytest.approx(below, rel=1e-4), "both sides have met"
    # where a metric of bins stands beside others, its share of the noise is a hundredth off
    assert 0.999 * below < error(of, weight) < 1.02 * below


def test_scales_that_are_not_chosen_show() -> None:
    metrics = RELEASES["three means that are wanted apart"]
    weight = weights(layout(metrics, {}, CAP), metrics)
    alike = layout([replace(metric, wanted_error=None) for metric in metrics], {}, CAP)
    assert error(alike, weight) > 1.2 * least_error(differences(alike), weight)[0]
