"""Noisy figures that contradict each other, made consistent by weighted least squares. Post-processing of noise alone.

Over one segment, every cohort is a sum of atoms in E, and the cells of a partition add up to the count. Both kinds of
relation are linear, and they are separable: the noise of cell c in cohort j has variance v_j in units of the vector,
for every c. So the estimate is (projection over cohorts) x (projection over cells), and so is its covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quorum.bounding import Layout

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Consistent:
    """Estimates (cohorts x cells) in units of the vector; of cohort i, cov(a, b) is variances[i] * covariance[a, b]."""

    estimates: Array
    variances: Array
    covariance: Array


def reconcile(
    members: Sequence[Sequence[str]], noisy: Sequence[Sequence[int]], scales: Sequence[float], layout: Layout
) -> Consistent:
    """Reconcile the cohorts of one segment.

    ``members`` are each cohort's atoms, each atom being a cohort itself; ``noisy`` their vectors; ``scales`` the
    standard deviations of the noise, by cohort.
    """
    atoms = sorted({atom for each in members for atom in each})
    design = np.array([[atom in each for atom in atoms] for each in members], dtype=float)
    weights = 1 / np.square(np.array(scales, dtype=float))
    covariance_of_atoms = np.linalg.inv(design.T @ (weights[:, None] * design))
    over_cohorts = design @ covariance_of_atoms @ (design.T * weights)
    over_cells, covariance = _partitions(layout)
    estimates = over_cohorts @ np.array(noisy, dtype=float) @ over_cells.T
    return Consistent(estimates, np.diag(design @ covariance_of_atoms @ design.T), covariance)


def _partitions(layout: Layout) -> tuple[Array, Array]:
    """Return the projection of a vector onto those whose partitions add up to the count, and its covariance."""
    width = 1 + len(layout.cells)
    rows = []
    start = 1
    for block in layout.blocks:
        if block.is_partition:
            relation = np.zeros(width)
            relation[0] = -1 / layout.count_scale
            relation[start : start + len(block.cells)] = 1 / block.scale
            rows.append(relation)
        start += len(block.cells)
    identity = np.eye(width)
    if not rows:
        return identity, identity
    relations = np.array(rows)
    projection = identity - relations.T @ np.linalg.inv(relations @ relations.T) @ relations
    return projection, projection  # the noise of all cells has one variance, and a projection is its own square
