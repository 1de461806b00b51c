"""A lower bound on what an answer gives away, from many draws of it over two neighbouring inputs.

Noise of a discrete Gaussian on a vector is claimed to be mu-GDP with mu = distance / sigma, so no test for one of two
neighbours with false positives alpha has more true ones than Phi(Phi^-1(alpha) + mu) (Dong, Roth and Su 2022). An
epsilon alone would be a weak claim to test: at a small rho, a loss of a quarter more hardly shows in it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, norm

from quorum import measurement
from quorum.measurement import Cells, Cohort, Group, Plan
from quorum.policy import ATOM, Spec

Array = NDArray[np.float64]
Vector = Sequence[int]
ERROR = 0.001  # how often a bound may be too high
CELLS_PER_CALL = 10_000


def copies(vector: Vector, number: int, levels: Sequence[str] = ()) -> Cells:
    """Return cells in which a vector is that of each of many atoms, each its own only union at each level."""
    atoms = tuple(Cohort(f"a{n}", ATOM, "i", "r", "s") for n in range(number))
    parents = {replace(atom, level=level): frozenset({atom.key}) for level in levels for atom in atoms}
    return Cells(atoms, parents, (None,), {Group(atom.key, None): tuple(vector) for atom in atoms})


def draws(spec: Spec, plan: Plan, vector: Vector, number: int, levels: Sequence[str] = ()) -> Array:
    """Return the noisy vectors of many answers (draws x stages x width), in the order of the stages."""
    found: list[Array] = []
    per_call = max(1, CELLS_PER_CALL // len(vector))
    for _ in range(math.ceil(number / per_call)):
        _, cohorts = measurement.measure(spec, plan, copies(vector, per_call, levels))
        noisy = [cohort["noisy"] for cohort in cohorts]
        assert None not in noisy, "an atom that is no quorum shows nothing"
        found.append(np.array(noisy, dtype=float).reshape(1 + len(levels), per_call, len(vector)).swapaxes(0, 1))
    return np.concatenate(found)[:number]


def best_statistic(noisy: Array, base: Vector, neighbour: Vector, scales: Sequence[float]) -> Array:
    """Return the likelihood ratio's exponent of each draw, in units of its standard deviation."""
    direction = np.array(neighbour, dtype=float) - np.array(base, dtype=float)
    weights = 1 / np.square(scales)
    score = ((noisy - np.array(base, dtype=float)) @ direction) @ weights
    return np.asarray(score / (np.linalg.norm(direction) * math.sqrt(weights.sum())))


def least_mu(base: Array, neighbour: Array, threshold: float) -> float:
    """Return mu such that less would be a lie, but for one time in a thousand: by the event of passing a threshold.

    Both rates are bounded as Clopper and Pearson do (1934). The threshold must not be chosen by the draws.
    """
    false_positives = _upper(int(np.sum(base > threshold)), len(base))
    true_positives = 1 - _upper(int(np.sum(neighbour <= threshold)), len(neighbour))
    return float(norm.ppf(true_positives) - norm.ppf(false_positives))


def _upper(hits: int, number: int) -> float:
    return 1.0 if hits == number else float(beta.ppf(1 - ERROR / 2, hits + 1, number - hits))


def epsilon_of(mu: float, delta: float) -> float:
    """Return the least epsilon with which mu-GDP is (epsilon, delta)-DP (Balle and Wang 2018)."""

    def excess(epsilon: float) -> Any:
        return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - delta

    return 0.0 if mu <= 0 or excess(0) <= 0 else float(brentq(excess, 0, 50))
