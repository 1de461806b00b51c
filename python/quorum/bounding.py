"""How far one unit can move the vector of a release, and the integer scales that this follows from.

The vector of a group of units has one coordinate for the active users and one per cell of each metric. SQL makes it
(``macros/anonymity/bounded_cells.sql``) from the same numbers. Symbols and proofs are those of docs/privacy-model.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quorum.errors import BadInput
from quorum.metrics import SELECTION, Metric

COUNT = "active_users"
RESOLUTION = 1_000_000  # how far a unit moves a whole vector, about: large, so that rounding to integers is nothing


@dataclass(frozen=True)
class Cell:
    """One coordinate of a metric; a unit is in it by ``key``, or by a value from ``lower`` to below ``upper``."""

    metric: str
    key: str | None
    position: int  # in the metric
    lower: int | None = None
    upper: int | None = None


@dataclass(frozen=True)
class Block:
    """The coordinates of one metric.

    A unit of value v adds ``scale * v - centre`` to each, or, where it is in more than ``max_cells`` cells, its weight
    for v. With ``is_partition`` a unit is in exactly one cell.
    """

    metric: str
    bound: str  # clamp, cells or bins; keys for a selection, which has no cells before it is answered
    cells: tuple[Cell, ...]
    low: int
    high: int
    max_cells: int
    scale: int
    centre: int

    @property
    def radius2(self) -> int:
        """The greatest squared length of what one unit adds."""
        if self.bound == "clamp":
            return max(abs(self.scale * self.high - self.centre), abs(self.scale * self.low - self.centre)) ** 2
        if self.centre:
            return len(self.cells) * max(self.centre, self.scale - self.centre) ** 2
        return self.scale**2 * (1 if self.bound == "bins" else self.max_cells)

    @property
    def diameter2(self) -> int:
        """A bound on the squared distance between what one unit adds and any mean of what others add."""
        return self.scale**2 * _distance2(self.bound, self.low, self.high, self.max_cells, len(self.cells))

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the most that one unit adds to a cell."""
        low, high = (self.low, self.high) if self.bound == "clamp" else (0, 1)
        return self.scale * low - self.centre, self.scale * high - self.centre

    @property
    def is_partition(self) -> bool:
        return self.bound == "bins"

    @property
    def bounds(self) -> str:
        """What bounds one unit, in words."""
        if self.bound == "clamp":
            return f"a total between {self.low} and {self.high}"
        if self.bound == "bins":
            return f"one of {len(self.cells)} bins"
        if self.bound == SELECTION:
            return f"{self.max_cells} keys, of a sample of users"
        bounded = self.max_cells < len(self.cells)
        return f"{self.max_cells} of {len(self.cells)} cells at full weight" if bounded else "each cell once"


@dataclass(frozen=True)
class Layout:
    """All coordinates of a release after the count, with the scale of the count."""

    blocks: tuple[Block, ...]
    tenant_cap: int

    @property
    def is_empty(self) -> bool:
        """Whether a metric has no cell: without a public or a selected key there is nothing to ask."""
        return not self.is_selection and any(not block.cells for block in self.blocks)

    @property
    def is_selection(self) -> bool:
        """Whether sampled users are counted per key, whatever keys there are."""
        return any(block.bound == SELECTION for block in self.blocks)

    @property
    def verdicts(self) -> int:
        """How many exact verdicts of the gate one unit may change: of its group, or its keys and those it displaces."""
        return sum(2 * block.max_cells for block in self.blocks) if self.is_selection else 1

    @property
    def cells(self) -> list[Cell]:
        return [cell for block in self.blocks for cell in block.cells]

    @property
    def units(self) -> list[tuple[int, int]]:
        """The (scale, centre) of each cell, in order."""
        return [(block.scale, block.centre) for block in self.blocks for _ in block.cells]

    @property
    def count_scale(self) -> int:
        """The integer units of one active user: as many as the capped case leaves free. A selection counts by ones."""
        if self.is_selection:
            return 1
        cap = self.tenant_cap
        free = cap**2 * self._diameter2 // (cap + 1) ** 2 - self._radius2
        # at least half as fine as the rest, where a metric of one cell leaves nothing
        return max(math.isqrt(max(free, 0)), math.isqrt(self._diameter2) // 2) if self.blocks else RESOLUTION

    @property
    def sensitivity(self) -> float:
        """How far one unit moves the vectors of all groups together, in L2. Rounded up.

        While its contributor has at most C users, a unit adds its own bounded vector and one to the count; beyond, the
        count stands still and the unit moves the contributor's mean, with less than one of rounding per cell. In a
        selection a unit adds itself to its keys, and may take its place in the sample from another.
        """
        if self.is_selection:
            return _above(math.sqrt(self._diameter2))
        below_cap = math.sqrt(self._radius2 + self.count_scale**2)
        at_cap = math.sqrt(self._diameter2) * self.tenant_cap / (self.tenant_cap + 1) + math.sqrt(len(self.cells))
        return _above(max(below_cap, at_cap))

    def can_hold(self, vector: Sequence[int]) -> bool:
        """Whether a vector (the count, then each cell) is what whole users within their bounds may add up to."""
        count, *cells = vector
        users, rest = divmod(count, self.count_scale)
        ends = (block.ends for block in self.blocks for _ in block.cells)
        return not rest and all(users * low <= v <= users * high for v, (low, high) in zip(cells, ends, strict=True))

    @property
    def _radius2(self) -> int:
        return sum(block.radius2 for block in self.blocks)

    @property
    def _diameter2(self) -> int:
        return sum(block.diameter2 for block in self.blocks)


def layout(metrics: Sequence[Metric], key_sets: Mapping[str, Sequence[str]], tenant_cap: int) -> Layout:
    """Arrange what has to be measured for the metrics; raises BadInput for a set of keys that nobody declared.

    Each block gets the share of the squared sensitivity that makes the sum over metrics of (error / wanted error)
    squared the least: proportional to its diameter over its wanted error, which is its diameter where none is given.
    """
    shapes = [(metric, *_shape(metric, key_sets)) for metric in metrics if metric.kind not in ("count", "ratio")]
    if not all(cells for _, _, cells, _ in shapes):  # nothing to measure: `is_empty` says so
        empty = [Block(m.name, bound, cells, m.low, m.high, most, 1, 0) for m, bound, cells, most in shapes]
        return Layout(tuple(empty), tenant_cap)
    diameters = [math.sqrt(_distance2(bound, m.low, m.high, most, len(cells))) for m, bound, cells, most in shapes]
    wishes = [
        diameter / float(shape[0].wanted_error) if shape[0].wanted_error else 1.0
        for shape, diameter in zip(shapes, diameters, strict=True)
    ]
    blocks = []
    for (metric, bound, cells, max_cells), diameter, wish in zip(shapes, diameters, wishes, strict=True):
        half = max(1, math.floor(RESOLUTION * math.sqrt(wish / sum(wishes)) / diameter / 2))
        # measured from the middle of its range, a value moves a vector half as far and the count comes free
        if bound == "clamp":
            centre = half * (metric.low + metric.high)
        else:
            centre = half if bound == "cells" and max_cells == len(cells) else 0
        blocks.append(Block(metric.name, bound, cells, metric.low, metric.high, max_cells, 2 * half, centre))
    return Layout(tuple(blocks), tenant_cap)


def _shape(metric: Metric, key_sets: Mapping[str, Sequence[str]]) -> tuple[str, tuple[Cell, ...], int]:
    """Return how a metric bounds a unit, its cells, and L0."""
    if metric.is_clamped_sum:
        return "clamp", (Cell(metric.name, None, 0),), 1
    if metric.is_selection:
        return SELECTION, (), metric.max_cells
    if metric.kind == "quantile":
        uppers = [*metric.edges[1:], None]
        bins = enumerate(zip(metric.edges, uppers, strict=True))
        return "bins", tuple(Cell(metric.name, str(low), n, low, high) for n, (low, high) in bins), 1
    keys = key_sets.get(metric.keys) if isinstance(metric.keys, str) else metric.keys
    if keys is None:
        raise BadInput(f"metric {metric.name}: there is no set of keys {metric.keys!r}")
    cells = tuple(Cell(metric.name, key, n) for n, key in enumerate(keys))
    if metric.kind == "histogram":
        return "bins", cells, 1
    # from half of the keys on, a bound costs no less noise than none: so there is none
    return "cells", cells, len(cells) if 2 * metric.max_cells >= len(cells) else metric.max_cells


def _distance2(bound: str, low: int, high: int, max_cells: int, cells: int) -> int:
    """Return the squared diameter of what one unit may add, in units of its scale."""
    if bound == "clamp":
        return (high - low) ** 2
    if bound == SELECTION:
        return 2 * max_cells  # any number of keys
    return min(2 * max_cells, cells) if bound == "cells" else min(2, cells)


def _above(length: float) -> float:
    return math.nextafter(length * (1 + 1e-9), math.inf)
