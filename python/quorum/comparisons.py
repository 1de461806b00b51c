"""Each tenant beside its benchmark: its own figure, and that of the others in the cohort, with the error of the noise.

The others are the released cohort less what the tenant added to it. The tenant knows the latter, so this is
post-processing of an answer: it draws no noise and costs nothing. What is subtracted has no error, so the noise of the
others is that of the cohort, over fewer users.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from quorum import answers, figures, linear_forms, tenant_shares, warehouse
from quorum.answers import Shown
from quorum.figures import Figure
from quorum.linear_forms import Forms, Vector
from quorum.marts import VS_BENCHMARK
from quorum.metrics import Metric
from quorum.policy import Spec
from quorum.tenant_shares import Share
from quorum.workspace import Workspace

# Totals of a whole cohort: one tenant's is no smaller or larger than usual beside them.
TOTALS = ("count", "sum")
# Of what is shown. A contributor's cells are rounded to integers, which is less than that; and where no noise is in a
# figure, as in the share of users that did a funnel's first step, the last bits of a double may not decide.
DECIMALS = 6

COMPARISONS = pa.schema(
    [
        *((name, pa.string()) for name in ("measurement_id", "tenant_key", "release", "period")),
        *((name, pa.date32()) for name in ("period_start", "period_end")),
        *((name, pa.string()) for name in ("segment", "metric", "key", "kind", "estimand", "status")),
        ("cohort_level", pa.string()),
        ("cohort_key", pa.string()),
        ("is_in_cohort", pa.bool_()),
        ("tenant_users", pa.int64()),
        *(
            (name, pa.float64())
            for name in (
                "tenant_estimate",
                "others_users",
                "others_estimate",
                "others_estimate_low",
                "others_estimate_high",
                "difference",
            )
        ),
        ("is_more_than_noise", pa.bool_()),
    ]
)
# The mart too: what is forgotten may not wait for the next build.
FOLLOWING = """
delete from {relation} as compared
where not exists (
    from benchmark_comparisons as comparisons
    inner join benchmark_shares as shares using (measurement_id, tenant_key)
    where comparisons.tenant_key = compared.tenant_key
        and comparisons.release = compared.release
        and comparisons.period = compared.period
        and comparisons.period_start = compared.period_start
)
"""


@dataclass(frozen=True)
class Others:
    """A cohort around a tenant less what the tenant added to it: nothing, where it is not in the cohort.

    ``released`` are the keys of each metric that the cohort itself is told precisely enough for.
    """

    level: str
    key: str
    is_in_cohort: bool
    vector: Vector
    released: Mapping[str, Collection[str | None]]


def prepare(workspace: Workspace) -> None:
    """Create the relations in the tenant plane, for models to read before anything is answered."""
    with warehouse.opened(workspace, "tenant") as connection:
        tenant_shares.prepare(connection)
        if not warehouse.has(connection, "benchmark_comparisons"):
            warehouse.replace(connection, "benchmark_comparisons", COMPARISONS.empty_table())


def write(workspace: Workspace, shown: Iterable[Shown], specs: Iterable[Spec], as_of: date) -> None:
    """Write the comparisons of the last periods of each release's history, and drop the shares of all others."""
    oldest = {
        (spec.name, spec.period): min((start for start, _ in spec.periods(as_of)), default=date.max) for spec in specs
    }
    recent = [
        (slot, content, is_answered)
        for _, slot, content, is_answered in shown
        # an answer from before shares were kept names no measurement
        if "measurement_id" in content and slot.start >= oldest.get((slot.release, slot.period), date.max)
    ]
    with warehouse.opened(workspace, "tenant") as connection:
        connection.begin()
        tenant_shares.drop_others(connection, [content["measurement_id"] for _, content, _ in recent])
        rows = [
            {
                "measurement_id": content["measurement_id"],
                "release": slot.release,
                "period": slot.period,
                "period_start": slot.start,
                "period_end": slot.end,
                **row,
            }
            for slot, content, is_answered in recent
            for row in of_answer(content, tenant_shares.read(connection, content["measurement_id"]), is_answered)
        ]
        warehouse.replace(connection, "benchmark_comparisons", pa.Table.from_pylist(rows, COMPARISONS))
        connection.commit()


def forget(workspace: Workspace) -> None:
    """Drop shares of rows that were forgotten, and what was made of them; killed, it can be done again."""
    with warehouse.opened(workspace, "restricted", read_only=True) as connection:
        forgotten = connection.execute("from forgotten_days").to_arrow_table()
    if not forgotten.num_rows:
        return
    with warehouse.opened(workspace, "tenant") as connection:
        connection.begin()
        tenant_shares.forget(connection, forgotten)
        _follow(connection)
        connection.commit()
    with warehouse.opened(workspace, "restricted") as connection:
        connection.execute("delete from forgotten_days")


def _follow(connection: duckdb.DuckDBPyConnection) -> None:
    for relation in (VS_BENCHMARK, "benchmark_comparisons"):
        if warehouse.has(connection, relation):
            connection.execute(FOLLOWING.format(relation=relation))


def of_answer(content: Mapping[str, Any], shares: Sequence[Share], is_answered: bool) -> Iterator[dict[str, Any]]:
    """Yield a row per share, metric and key of an answer's payload, whether or not it has a benchmark."""
    layout, tolerance = answers.layout_of(content), content["tolerance_points"]
    forms, metrics = Forms(layout), [each for each in answers.metrics_of(content) if each.kind not in TOTALS]
    by_segment: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for cohort in content["cohorts"]:
        by_segment[cohort["segment"]].append(cohort)
    for segment, cohorts in by_segment.items():
        members = {(cohort["level"], cohort["key"]): cohort["members"] for cohort in cohorts}
        vectors = linear_forms.vectors(layout, cohorts, content["scales"])
        released = {
            place: {metric.name: _precise(metric, forms, vector, tolerance).keys() for metric in metrics}
            for place, vector in vectors.items()
        }
        for share in shares:
            if share.segment == segment:
                around = [
                    Others(
                        *place,
                        share.atom in members[place],
                        without(vectors[place], share, members[place]),
                        released[place],
                    )
                    for place in share.cohorts
                    if place in vectors
                ]
                for metric in metrics:
                    for row in _compared(metric, forms, share, around, tolerance):
                        yield row | ({} if is_answered else {"status": "budget"})


def without(vector: Vector, share: Share, members: Sequence[str]) -> Vector:
    """Return a cohort's vector less what a tenant added to it: nothing, unless its atom is among the members."""
    own = np.array(share.vector, dtype=float) if share.atom in members else 0.0
    return Vector(vector.values - own, vector.covariance)


def _precise(metric: Metric, forms: Forms, vector: Vector, tolerance: float) -> dict[str | None, Figure]:
    """Return by key the figures that are told precisely enough."""
    found = figures.figures(metric, forms, vector)
    return {each.key: each for each in found if each.error_points is not None and each.error_points <= tolerance}


def _compared(
    metric: Metric, forms: Forms, share: Share, around: Sequence[Others], tolerance: float
) -> Iterator[dict[str, Any]]:
    width = len(share.vector)
    exact = Vector(np.array(share.vector, dtype=float), np.zeros((width, width)))
    own = figures.figures(metric, forms, exact)
    shown = _narrowest(metric, forms, len(own), around, tolerance)
    for figure in map(_rounded, own):
        yield {
            "tenant_key": share.tenant_key,
            "segment": share.segment,
            "metric": metric.name,
            "key": figure.key,
            "kind": metric.kind,
            "estimand": metric.estimand,
            "status": "released" if figure.key in shown else "imprecise" if around else "ineligible",
            "tenant_users": round(exact.value(forms.users)),
            "tenant_estimate": figure.estimate,
            **(_beside(figure.estimate, *shown[figure.key]) if figure.key in shown else {}),
        }


def _narrowest(
    metric: Metric, forms: Forms, keys: int, around: Sequence[Others], tolerance: float
) -> dict[str | None, tuple[Others, Figure]]:
    """Return by key the first cohort that is released and is precise enough without the tenant, too."""
    found: dict[str | None, tuple[Others, Figure]] = {}
    for others in around:
        if len(found) == keys:
            break
        if wanted := others.released[metric.name]:
            for key, figure in _precise(metric, forms, others.vector, tolerance).items():
                if key in wanted:
                    found.setdefault(key, (others, _rounded(figure)))
    return found


def _rounded(figure: Figure) -> Figure:
    shown = ("estimate", "estimate_low", "estimate_high", "users")
    values = {name: getattr(figure, name) for name in shown}
    return replace(figure, **{name: None if v is None else round(v, DECIMALS) for name, v in values.items()})


def _beside(estimate: float | None, others: Others, figure: Figure) -> dict[str, Any]:
    return {
        "cohort_level": others.level,
        "cohort_key": others.key,
        "is_in_cohort": others.is_in_cohort,
        "others_users": figure.users,
        "others_estimate": figure.estimate,
        "others_estimate_low": figure.estimate_low,
        "others_estimate_high": figure.estimate_high,
        "difference": None if estimate is None or figure.estimate is None else estimate - figure.estimate,
        "is_more_than_noise": is_outside(estimate, figure),
    }


def is_outside(estimate: float | None, others: Figure) -> bool | None:
    """Tell whether a figure lies outside the interval of another; None where one of them is not known.

    An interval that is open at one end holds all that lies there.
    """
    low, high = others.estimate_low, others.estimate_high
    if estimate is None or (low is None and high is None):
        return None
    return (low is not None and estimate < low) or (high is not None and estimate > high)
