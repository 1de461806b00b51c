"""What models/release/dp_*.sql make of units, written down a second time and slowly."""

import math
from collections.abc import Iterable, Sequence

from quorum.bounding import Block, Layout

# What one unit does, by block: a value where it is clamped, else the positions of the cells that it is in.
Value = int | frozenset[int] | None
Unit = tuple[Value, ...]


def weights(block: Block, value: Value) -> list[int]:
    """Return what one unit adds to each cell, before its contributor's users are taken from the middle."""
    cells = [0] * len(block.cells)
    if block.bound == "clamp":
        assert isinstance(value, int)
        cells[0] = block.scale * min(max(value, block.low), block.high)
        return cells
    positions = value if isinstance(value, frozenset) else frozenset[int]()
    kept = sorted(positions)[:1] if block.bound == "bins" else sorted(positions)
    full = len(kept) <= block.max_cells
    weight = block.scale if full else math.floor(block.scale * math.sqrt(block.max_cells / len(kept)))
    for position in kept:
        cells[position] = weight
    return cells


def vector(layout: Layout, contributors: Iterable[Sequence[Unit]]) -> list[int]:
    """Return the vector of a group: the count, then each cell."""
    cap, count, sums = layout.tenant_cap, 0, [0] * len(layout.cells)
    for everyone in contributors:
        units = [unit for unit in everyone if _is_counted(layout, unit)]
        totals = [0] * len(sums)
        for unit in units:
            added = [w for block, value in zip(layout.blocks, unit, strict=True) for w in weights(block, value)]
            totals = [total + more for total, more in zip(totals, added, strict=True)]
        centred = [t - centre * len(units) for t, (_, centre) in zip(totals, layout.units, strict=True)]
        shares = [_towards_zero(cap * total, max(len(units), cap)) for total in centred]
        count += layout.count_scale * min(len(units), cap)
        sums = [cell + share for cell, share in zip(sums, shares, strict=True)]
    return [count, *sums]


def distance(layout: Layout, others: Sequence[Unit], unit: Unit) -> float:
    """Return how far a contributor's vector moves when one more user comes, or goes."""
    return math.dist(vector(layout, [others]), vector(layout, [[*others, unit]]))


def _is_counted(layout: Layout, unit: Unit) -> bool:
    """Say whether a unit is in a bin of each histogram."""
    return all(value for block, value in zip(layout.blocks, unit, strict=True) if block.bound == "bins")


def _towards_zero(dividend: int, divisor: int) -> int:
    return abs(dividend) // divisor * (1 if dividend >= 0 else -1)
