"""The metrics that a release declares, by kind: what each needs to be told, and what it may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from quorum.errors import BadInput, Refused

# What a declaration of each kind has to name, and what it may name.
NEEDS: dict[str, tuple[set[str], set[str]]] = {
    "count": (set(), set()),
    "distinct_users": ({"keys", "max_cells"}, {"wanted_error"}),
    "sum": ({"low", "high"}, {"wanted_error"}),
    "mean": ({"low", "high"}, {"wanted_error", "per"}),
    "ratio": ({"numerator", "denominator", "ceiling"}, {"per"}),
    "histogram": ({"keys"}, {"wanted_error", "shows", "randomised"}),
    "quantile": ({"edges", "shares"}, {"wanted_error", "per"}),
    "keys": ({"max_cells"}, set()),
}
SELECTION = "keys"  # the one kind whose answer is a set of keys, and no figure
MAX_RANGE = 1_000_000  # of a clamped value, in its own units
MAX_CELLS_OF_METRIC = 1_000


@dataclass(frozen=True)
class Metric:
    """One metric of a release.

    Kinds, with what is published of each: ``count`` (active users), ``distinct_users`` (the share of active users per
    key), ``sum`` (the total), ``mean`` (the total per active user), ``ratio`` (of two sums or means), ``histogram``
    (the share of active users per key, or per key and all after it: ``shows: at_least``), ``quantile`` (the values that
    ``shares`` of active users do not exceed), ``keys`` (those of the keys that users make that are no secret: such a
    selection is a release of its own, and the ``keys`` of other metrics may be its name). ``low`` and ``high`` clamp
    what one unit adds, in integers; ``per`` divides what is published; ``wanted_error`` is the standard error of the
    figure per user that the metric asks for; ``randomised`` is
    the epsilon of the randomised response over ``keys`` that sources gave in place of the truth
    (``quorum.local_model``), which the shares are freed of.
    """

    name: str
    kind: str
    estimand: str
    keys: str | tuple[str, ...] = ()
    max_cells: int = 0
    low: int = 0
    high: int = 0
    per: int = 1
    edges: tuple[int, ...] = ()
    shares: tuple[Decimal, ...] = ()
    numerator: str = ""
    denominator: str = ""
    ceiling: int = 0
    shows: str = "share"
    wanted_error: Decimal | None = None
    randomised: Decimal | None = None

    @property
    def is_clamped_sum(self) -> bool:
        return self.kind in ("sum", "mean")

    @property
    def is_selection(self) -> bool:
        return self.kind == SELECTION


def parse(release: str, declared: object) -> tuple[Metric, ...]:
    """Return the metrics of a declaration (a list of mappings); raises BadInput or Refused that names the wrong one."""
    if not isinstance(declared, list) or not declared:
        raise BadInput(f"release {release}: metrics must be a list of at least one")
    metrics = tuple(_metric(release, each) for each in declared)
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        raise BadInput(f"release {release}: two metrics have one name")
    if len(metrics) > 1 and any(metric.is_selection for metric in metrics):
        raise BadInput(f"release {release}: a selection of keys is a release of its own")
    sums = {metric.name for metric in metrics if metric.is_clamped_sum}
    for metric in metrics:
        if metric.kind == "ratio" and not {metric.numerator, metric.denominator} <= sums:
            raise BadInput(f"release {release}: {metric.name} is a ratio of two sums or means of the same release")
    return metrics


def _metric(release: str, declared: object) -> Metric:
    if not isinstance(declared, Mapping) or not isinstance(declared.get("name"), str):
        raise BadInput(f"release {release}: each metric is a mapping with a name")
    where = f"release {release}: metric {declared['name']}"
    if declared.get("kind") not in NEEDS:
        raise BadInput(f"{where}: kind is one of {', '.join(NEEDS)}, not {declared.get('kind')!r}")
    needed, allowed = NEEDS[declared["kind"]]
    told = set(declared) - {"name", "kind", "estimand"}
    if needed - told or told - needed - allowed or "estimand" not in declared:
        expected = ", ".join(sorted({*needed, "estimand"}))
        more = f", and may have {', '.join(sorted(allowed))}" if allowed else ""
        raise BadInput(f"{where}: a {declared['kind']} has {expected}{more}")
    types = {field.name: field.type for field in fields(Metric)}  # as written
    metric = Metric(**{key: _value(where, key, str(types[key]), value) for key, value in declared.items()})
    _check(where, metric)
    return metric


def _value(where: str, key: str, kind: str, value: Any) -> Any:
    def whole(each: Any) -> int:
        if isinstance(each, bool) or not isinstance(each, int):
            raise BadInput(f"{where}: {key} must be a whole number")
        return int(each)

    def decimal(each: Any) -> Decimal:
        try:
            number = Decimal(str(each))
        except InvalidOperation:
            raise BadInput(f"{where}: {key} must be a number") from None
        if not number.is_finite():
            raise BadInput(f"{where}: {key} must be a number")
        return number

    if "tuple" in kind and isinstance(value, list):
        each = whole if "int" in kind else decimal if "Decimal" in kind else str
        return tuple(each(one) for one in value)
    if "Decimal" in kind and "tuple" not in kind:
        return decimal(value)
    if kind == "int":
        return whole(value)
    if "str" in kind and isinstance(value, str):
        return value
    raise BadInput(f"{where}: {key} cannot be {value!r}")


def _check(where: str, metric: Metric) -> None:
    ascending = all(lower < upper for lower, upper in zip(metric.edges, metric.edges[1:], strict=False))
    rules = {
        # users without a row of the metric count as 0
        f"low must be at most 0 and high above it, at most {MAX_RANGE} apart": not metric.is_clamped_sum
        or (metric.low <= 0 < metric.high and metric.high - metric.low <= MAX_RANGE),
        "max_cells must be at least 1": metric.kind not in ("distinct_users", SELECTION) or metric.max_cells >= 1,
        "per must be at least 1": metric.per >= 1,
        "ceiling must be at least 1": metric.kind != "ratio" or metric.ceiling >= 1,
        "edges must be at least two whole numbers that rise": metric.kind != "quantile"
        or (len(metric.edges) >= 2 and ascending),
        "shares must lie between 0 and 1": metric.kind != "quantile"
        or (bool(metric.shares) and all(0 < share < 1 for share in metric.shares)),
        "shows must be share or at_least": metric.shows in ("share", "at_least"),
        "randomised must be from 0 to 20, over two keys or more, and shows must be share": metric.randomised is None
        or (0 < metric.randomised <= 20 and len(metric.keys) >= 2 and metric.shows == "share"),
        "wanted_error must be above 0": metric.wanted_error is None or metric.wanted_error > 0,
        f"there may be {MAX_CELLS_OF_METRIC} cells at the most": max(len(metric.edges), len(metric.keys))
        <= MAX_CELLS_OF_METRIC,
        "keys must differ": isinstance(metric.keys, str) or len(set(metric.keys)) == len(metric.keys),
    }
    for rule, holds in rules.items():
        if not holds:
            raise Refused(f"{where}: {rule}")
