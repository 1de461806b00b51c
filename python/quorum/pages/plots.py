"""Where marks of a plot go: scales with round ticks, and paths. Pure geometry, in units of an SVG's viewBox."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEPS = (1, 2, 2.5, 5, 10)
NARROWEST = 0.02  # of the largest value


@dataclass(frozen=True)
class Scale:
    """A straight line from values to positions 0 to 100, with the values at which it is labelled."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float], *, zero: bool = True, wanted: int = 3) -> "Scale":
        """Cover all values, and zero unless told otherwise, from tick to tick."""
        found = [*values, *([0.0] if zero else [])] or [0.0]
        low, high = min(found), max(found)
        least = NARROWEST * (max(abs(low), abs(high)) or 1)
        if high - low < least:  # of what hardly differs, the dust of floating point is no difference
            low, high = (low + high - least) / 2, (low + high + least) / 2
        rough = (high - low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * each for each in STEPS if power * each >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(float(f"{step * n:.12g}") for n in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks)

    def at(self, value: float) -> float:
        """Return the position of a value, cut to the plot."""
        part = (float(value) - self.low) / (self.high - self.low)
        return round(100 * min(max(part, 0), 1), 2)


def line(points: Sequence[tuple[float, float] | None]) -> str:
    """Return a path through points; where one is missing it is torn, and a point between two gaps is a dot."""
    path, is_down = [], False
    for n, point in enumerate(points):
        if point is not None:
            is_alone = not is_down and (n + 1 == len(points) or points[n + 1] is None)
            path.append(f"{'L' if is_down else 'M'}{point[0]:g} {point[1]:g}{'h0' if is_alone else ''}")
        is_down = point is not None
    return "".join(path)


def band(lows: Sequence[tuple[float, float] | None], highs: Sequence[tuple[float, float] | None]) -> str:
    """Return a closed path for each run of points that have both ends."""
    path, run = [], list[tuple[tuple[float, float], tuple[float, float]]]()
    for low, high in [*zip(lows, highs, strict=True), (None, None)]:
        if low is not None and high is not None:
            run.append((low, high))
        elif run:
            there = [f"{x:g} {y:g}" for (x, y), _ in run]
            back = [f"{x:g} {y:g}" for _, (x, y) in reversed(run)]
            path.append(f"M{'L'.join([*there, *back])}Z")
            run = []
    return "".join(path)
