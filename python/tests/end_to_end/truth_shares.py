"""Shares and their intervals, as a reader would work them out."""

from decimal import ROUND_HALF_UP, Decimal
from math import sqrt


def share(successes: int, trials: int) -> Decimal | None:
    return _six_places(Decimal(successes) / Decimal(trials)) if trials else None


def wilson(successes: int, trials: int) -> tuple[Decimal | None, Decimal | None]:
    """Return the ends of Wilson's interval at 95 %."""
    if not trials:
        return None, None
    z = 1.959963984540054
    middle, spread = successes + z * z / 2, z * sqrt(successes * (trials - successes) / trials + z * z / 4)
    low, high = ((middle + side * spread) / (trials + z * z) for side in (-1, 1))
    return _six_places(max(0, low)), _six_places(min(1, high))


def _six_places(value: float | Decimal) -> Decimal:
    return Decimal(value).quantize(Decimal("0.000001"), ROUND_HALF_UP)
