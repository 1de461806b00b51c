"""Published figures of an answer: what each metric's kind makes of the noisy vectors. Post-processing of noise alone.

Every figure is a linear form of a cohort's vector, or a ratio of two, with the covariance of both; intervals are
normal or Fieller's (1954), and cover the noise and nothing else.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from quorum.bounding import Layout
from quorum.consistency import Array
from quorum.linear_forms import Forms, Vector, vectors
from quorum.local_model import lie_probability, truth_probability
from quorum.metrics import Metric

Z95 = 1.959964


@dataclass(frozen=True)
class Figure:
    """A figure of one cohort, with the ends of its 95 % interval; None where the noise leaves none.

    ``error_points`` is half of the widest interval that a figure over so many users can have, as a percentage of its
    range: a function of public standard deviations and the noisy denominator, never of the figure itself. ``amount``
    is what a ratio divides, in its own units, or the figure itself.
    """

    key: str | None
    estimate: float | None = None
    estimate_low: float | None = None
    estimate_high: float | None = None
    error_points: float | None = None
    amount: float | None = None
    amount_sigma: float | None = None
    users: float | None = None
    users_sigma: float | None = None


def of_answer(
    metrics: Sequence[Metric], layout: Layout, cohorts: Sequence[Mapping[str, Any]], scales: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield a row per cohort, segment, metric and key; a cohort that is no quorum has rows without figures.

    ``cohorts`` are as ``measurement.measure`` gives them, ``scales`` the standard deviation of the noise by level.
    """
    forms = Forms(layout)
    for segment in dict.fromkeys(cohort["segment"] for cohort in cohorts):
        here = [cohort for cohort in cohorts if cohort["segment"] == segment]
        found_vectors = vectors(layout, here, scales)
        for cohort in here:
            vector = found_vectors.get((cohort["level"], cohort["key"]))
            about = {f"cohort_{name}": cohort[name] for name in ("level", "key", "industry", "region", "size_band")}
            for metric in metrics:
                found = figures(metric, forms, vector) if vector else [Figure(key) for key in _keys(metric, forms)]
                for figure in found:
                    yield {
                        **about,
                        "segment": segment,
                        "metric": metric.name,
                        "kind": metric.kind,
                        "estimand": metric.estimand,
                        "is_eligible": vector is not None,
                        **asdict(figure),
                    }


def figures(metric: Metric, forms: Forms, vector: Vector) -> list[Figure]:
    """Return what a metric publishes of one cohort."""
    if metric.kind == "quantile":
        return _quantiles(metric, forms, vector)
    return [
        _total(key, form, forms, vector, width)
        if denominator is None
        else _ratio(key, form, denominator, lowest, highest, metric.per, forms, vector, _lies(metric))
        for key, form, denominator, lowest, highest, width in _asked(metric, forms)
    ]


def users_for(metric: Metric, layout: Layout, scale: float, tolerance_points: float) -> int | None:
    """Return the whole users for ``precise_from``."""
    users = precise_from(metric, layout, scale, tolerance_points)
    return None if users is None else math.ceil(users)


def precise_from(metric: Metric, layout: Layout, scale: float, tolerance_points: float) -> float | None:
    """Return from how many active users on an atom's figure is precise enough; None where users do not tell.

    ``scale`` is the standard deviation of the noise. Cohorts that are reconciled with others need fewer.
    """
    forms = Forms(layout)
    vector = Vector(np.zeros(len(forms.users)), scale**2 * np.eye(len(forms.users)))
    spreads = []
    if metric.kind == "quantile":
        at_most = np.cumsum(np.array(list(forms.of(metric.name).values())), axis=0)
        spreads = [_spread(vector, form, forms.users, 0, 1) for form in at_most]
    for _, form, denominator, lowest, highest, width in [] if metric.kind == "quantile" else _asked(metric, forms):
        if denominator is None:
            spreads.append(vector.sigma(form) / width)
        elif denominator is forms.users:
            spreads.append(_spread(vector, form, denominator, lowest, highest))
    if not spreads:
        return None
    # the users for which sqrt(spread**2 + lies * users) / users is what the tolerance allows
    allowed, lies = tolerance_points / 100 / Z95, _lies(metric)
    return (lies + math.sqrt(lies**2 + 4 * (allowed * max(spreads)) ** 2)) / (2 * allowed**2)


def _spread(vector: Vector, form: Array, denominator: Array, lowest: int, highest: int) -> float:
    """Return the largest standard deviation of (numerator - r * denominator) over the range of r, in ranges.

    Its square is convex in r, so it is largest at one end.
    """
    return max(vector.sigma(form - end * denominator) for end in (lowest, highest)) / (highest - lowest)


def _keys(metric: Metric, forms: Forms) -> list[str | None]:
    if metric.kind == "quantile":
        return [_share_name(share) for share in metric.shares]
    return [key for key, *_ in _asked(metric, forms)]


def _asked(metric: Metric, forms: Forms) -> Iterator[tuple[str | None, Array, Array | None, int, int, int]]:
    """Yield key, numerator, denominator (None for a total), the range of the ratio, and that of a total per user."""
    if metric.kind == "count":
        yield None, forms.users, None, 0, 1, 1
    elif metric.kind == "ratio":
        yield None, forms.of(metric.numerator)[None], forms.of(metric.denominator)[None], 0, metric.ceiling, 1
    elif metric.kind == "sum":
        yield None, forms.of(metric.name)[None], None, 0, 1, metric.high - metric.low
    elif metric.kind == "mean":
        yield None, forms.of(metric.name)[None], forms.users, metric.low, metric.high, 1
    else:
        cells = list(forms.of(metric.name).items())
        for position, (key, form) in enumerate(cells):
            at_least = np.sum([later for _, later in cells[position:]], axis=0)
            shown = at_least if metric.shows == "at_least" else form
            if metric.randomised is not None:
                # of u users, x * truth + (u - x) * lie say so where it is true of x
                lie = lie_probability(metric.randomised, len(cells))
                shown = (form - lie * forms.users) / (truth_probability(metric.randomised, len(cells)) - lie)
            yield key, shown, forms.users, 0, 1, 1


def _lies(metric: Metric) -> float:
    """Return what sources' randomised response adds to the variance of a total at most, per user; 0 without one."""
    if metric.randomised is None:
        return 0.0
    choices = len(metric.keys)
    truth, lie = truth_probability(metric.randomised, choices), lie_probability(metric.randomised, choices)
    return 1 / (4 * (truth - lie) ** 2)


def _total(key: str | None, form: Array, forms: Forms, vector: Vector, width: int) -> Figure:
    value, sigma, users = vector.value(form), vector.sigma(form), vector.value(forms.users)
    return Figure(
        key,
        value,
        value - Z95 * sigma,
        value + Z95 * sigma,
        100 * Z95 * sigma / (users * width) if users > 0 else None,
        value,
        sigma,
        users,
        vector.sigma(forms.users),
    )


def _ratio(
    key: str | None,
    form: Array,
    denominator: Array,
    lowest: int,
    highest: int,
    per: int,
    forms: Forms,
    vector: Vector,
    lies: float = 0.0,
) -> Figure:
    value, below = vector.value(form), vector.value(denominator)
    of_lies = lies * max(vector.value(forms.users), 0.0)
    low, high = fieller(vector, form, denominator, of_lies)
    spread = math.hypot(_spread(vector, form, denominator, lowest, highest), math.sqrt(of_lies))
    return Figure(
        key,
        value / below / per if below > 0 else None,
        None if low is None else low / per,
        None if high is None else high / per,
        100 * Z95 * spread / below if below > 0 else None,
        value,
        math.hypot(vector.sigma(form), math.sqrt(of_lies)),
        vector.value(forms.users),
        vector.sigma(forms.users),
    )


def fieller(
    vector: Vector, form: Array, denominator: Array, more_variance: float = 0.0
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a ratio: the r for which (x - r * d) is within z sigma of 0; None where unbounded.

    ``more_variance`` is what x has beside the noise, and independent of it.
    """
    x, d = vector.value(form), vector.value(denominator)
    a = d * d - Z95**2 * vector.cov(denominator, denominator)
    b = x * d - Z95**2 * vector.cov(form, denominator)
    c = x * x - Z95**2 * (vector.cov(form, form) + more_variance)
    if d <= 0 or a <= 0:
        return None, None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return (b - root) / a, (b + root) / a


def _quantiles(metric: Metric, forms: Forms, vector: Vector) -> list[Figure]:
    """Invert the noisy distribution function: inside a bin by a straight line, its interval edge by edge.

    The interval holds each value whose share could be the one asked for; its ends are edges of bins, so it is wide
    rather than short. The last bin is open: a quantile in it has no estimate.
    """
    cells = list(forms.of(metric.name).values())
    at_most = [_ratio(None, form, forms.users, 0, 1, 1, forms, vector) for form in np.cumsum(np.array(cells), axis=0)]
    edges = metric.edges
    reached = np.maximum.accumulate([each.estimate if each.estimate is not None else math.nan for each in at_most])
    users = {"users": at_most[0].users, "users_sigma": at_most[0].users_sigma}
    error = None if any(each.error_points is None for each in at_most) else max(e.error_points or 0 for e in at_most)
    found = []
    for share in metric.shares:
        wanted, estimate = float(share), None
        place = next((n for n, value in enumerate(reached) if value >= wanted), None)
        if place is not None and place < len(edges) - 1:
            before = reached[place - 1] if place else 0.0
            part = (wanted - before) / (reached[place] - before) if reached[place] > before else 1.0
            estimate = edges[place] + max(part, 0.0) * (edges[place + 1] - edges[place])
        low = next(
            (edges[n] for n, e in enumerate(at_most) if e.estimate_high is None or e.estimate_high >= wanted), None
        )
        high = next(
            (
                edges[n + 1]
                for n, e in enumerate(at_most[:-1])
                if e.estimate_low is not None and e.estimate_low >= wanted
            ),
            None,
        )
        per = metric.per
        found.append(
            Figure(
                _share_name(share),
                None if estimate is None else estimate / per,
                None if low is None else low / per,
                None if high is None else high / per,
                error,
                **users,
            )
        )
    return found


def _share_name(share: Decimal) -> str:
    return f"p{(100 * share).normalize():f}"
