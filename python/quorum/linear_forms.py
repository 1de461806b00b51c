"""Noisy vectors of cohorts, and the linear forms that read figures off them. Post-processing of noise alone."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quorum.bounding import Layout
from quorum.consistency import Array, reconcile


class Forms:
    """The linear forms of a vector, in units of what they say: active users, and the total of each cell."""

    def __init__(self, layout: Layout) -> None:
        self.users = np.zeros(1 + len(layout.cells))
        self.users[0] = 1 / layout.count_scale
        self._cells: dict[str, dict[str | None, Array]] = defaultdict(dict)
        for place, (cell, (scale, centre)) in enumerate(zip(layout.cells, layout.units, strict=True), start=1):
            form = self.users * (centre / scale)
            form[place] += 1 / scale
            self._cells[cell.metric][cell.key] = form

    def of(self, metric: str) -> dict[str | None, Array]:
        """Return the form of each cell of a metric by key, in order."""
        return self._cells[metric]


@dataclass(frozen=True)
class Vector:
    """A cohort's noisy vector, in units of the layout, with the covariance of its coordinates."""

    values: Array
    covariance: Array

    def value(self, form: Array) -> float:
        return float(form @ self.values)

    def cov(self, form: Array, other: Array) -> float:
        return float(form @ self.covariance @ other)

    def sigma(self, form: Array) -> float:
        return math.sqrt(max(self.cov(form, form), 0.0))


def vectors(
    layout: Layout, cohorts: Sequence[Mapping[str, Any]], scales: Mapping[str, float]
) -> dict[tuple[str, str], Vector]:
    """Return the reconciled vectors of the cohorts of one segment, by level and key; none of one that is no quorum."""
    eligible = [cohort for cohort in cohorts if cohort["noisy"] is not None]
    if not eligible:
        return {}
    consistent = reconcile(
        [cohort["members"] for cohort in eligible],
        [cohort["noisy"] for cohort in eligible],
        [scales[cohort["level"]] for cohort in eligible],
        layout,
    )
    return {
        (cohort["level"], cohort["key"]): Vector(values, variance * consistent.covariance)
        for cohort, values, variance in zip(eligible, consistent.estimates, consistent.variances, strict=True)
    }
