"""The page of the benchmarks: what ``cross_tenant/`` holds, for people.

It is made of the rows of the published marts and of what the ledger was charged, which the calendar, the declared
releases and the answers decide (docs/privacy-model.md). Nothing else is opened.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

import duckdb

from quorum import warehouse
from quorum.pages import rendering
from quorum.pages.plots import Scale, band, line
from quorum.pages.rendering import finite

Row = Mapping[str, Any]

# Kinds whose figures are parts of one; what the others count or measure, their estimand says.
SHARES = ("distinct_users", "histogram")
PERIODS_SHOWN = 26
WITHHELD = {
    "ineligible": "too few organisations or users to hide in: the cohort is no quorum, or not beyond doubt",
    "imprecise": "the noise that protects users would drown the figure: its error is beyond what the release tolerates",
    "budget": "the privacy budget had no room for the question, so it was not asked",
}
LABELS = ("industry", "region", "size_band")
ALL = "All cohorts"

_FIGURES = """
    select * exclude (unit, mechanism, rho, epsilon, delta, policy_version, answer_id)
    from {plane}.mart_benchmarks
    order by release, metric, metric_key, segment, period_start, cohort_level, cohort_key
"""
_CATALOG = "select * from {plane}.mart_benchmark_catalog order by release, metric"


@dataclass(frozen=True)
class Chart:
    """One figure of a release: of each cohort in the newest period, and of all together over time."""

    title: str
    estimand: str
    is_share: bool
    scale: Scale
    rows: list[dict[str, Any]]
    history: dict[str, Any] | None


def page(connection: duckdb.DuckDBPyConnection, plane: str, budgets: Sequence[Row]) -> bytes:
    """Render the page from the marts of a plane that a connection sees, and from the budgets' newest windows."""
    figures = warehouse.rows(connection, _FIGURES.format(plane=plane))
    catalog = warehouse.rows(connection, _CATALOG.format(plane=plane))
    by_release = {name: list(rows) for name, rows in groupby(figures, key=lambda row: row["release"])}
    releases = [_release(name, rows) for name, rows in by_release.items()]
    return rendering.page(
        "benchmarks.html",
        releases=releases,
        budgets=[budget(row) for row in budgets],
        facts=[
            [_fact(row, by_release.get(name, [])) for row in of_release]
            for name, of_release in groupby(catalog, key=lambda row: row["release"])
        ],
        reasons=WITHHELD,
        newest=max((release["start"] for release in releases), default=None),
        shown=sum(release["counts"]["released"] for release in releases),
        figures=sum(release["counts"].total() for release in releases),
        cohorts=len({row["cohort_key"] for release in releases for row in release["newest"]}),
    )


def cohort(row: Row) -> str:
    """Name a cohort by its labels; ``*`` is any."""
    labels = [row[f"cohort_{label}"] for label in LABELS]
    return " · ".join(label for label in labels if label != "*") or ALL


def _release(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    start = max(row["period_start"] for row in rows)
    newest = [row for row in rows if row["period_start"] == start]
    charts = [
        _chart(list(of_figure), start)
        for _, of_figure in groupby(rows, key=lambda row: (row["metric"], row["metric_key"], row["segment"]))
    ]
    return {
        "name": name,
        "period": newest[0]["period"],
        "start": start,
        "last": date.fromordinal(newest[0]["period_end"].toordinal() - 1),
        "newest": newest,
        "counts": Counter(row["status"] for row in newest),
        "charts": [chart for chart in charts if chart.rows],
        "notes": _notes(newest),
        "withheld": _withheld(newest),
    }


def _chart(rows: Sequence[Row], start: date) -> Chart:
    first = rows[0]
    shown = [row for row in rows if row["period_start"] == start and row["estimate"] is not None]
    scale = Scale.of(finite(row[end] for row in shown for end in ("estimate", "estimate_low", "estimate_high")))
    return Chart(
        title=_title(first),
        estimand=first["estimand"],
        is_share=first["kind"] in SHARES,
        scale=scale,
        rows=[_mark(row, scale) for row in sorted(shown, key=_place)],
        history=_history([row for row in rows if row["cohort_level"] == "all"]),
    )


def _title(row: Row) -> str:
    parts = [row["metric"]] + [row[part] for part in ("metric_key", "segment") if row[part] != "*"]
    return ": ".join(rendering.words(part) for part in parts)


def _mark(row: Row, scale: Scale) -> dict[str, Any]:
    low, high = (row[end] for end in ("estimate_low", "estimate_high"))
    return {
        **{name: row[name] for name in ("estimate", "users", "error_points")},
        **{"cohort": cohort(row), "level": row["cohort_level"], "low": low, "high": high},
        "x": scale.at(row["estimate"]),
        "from": scale.at(low) if finite([low]) else None,
        "to": scale.at(high) if finite([high]) else None,
    }


def _place(row: Row) -> tuple[object, ...]:
    """Order cohorts as a tree: each before those that are parts of it, by name."""
    labels = [row[f"cohort_{label}"] for label in LABELS]
    return *(label.replace("*", "") for label in labels), row["cohort_level"] == "atom"


def _history(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return the last periods of the widest cohort as paths and as rows; None where fewer than two have a figure."""
    rows = rows[-PERIODS_SHOWN:]
    if sum(row["estimate"] is not None for row in rows) < 2:
        return None
    ends = ("estimate", "estimate_low", "estimate_high")
    scale = Scale.of(finite(row[end] for row in rows for end in ends), zero=False)
    points = {
        end: [
            (round(100 * n / (len(rows) - 1), 2), round(100 - scale.at(row[end]), 2)) if finite([row[end]]) else None
            for n, row in enumerate(rows)
        ]
        for end in ends
    }
    return {
        "scale": scale,
        "line": line(points["estimate"]),
        "band": band(points["estimate_low"], points["estimate_high"]),
        "rows": [{**{end: row[end] for end in ends}, "start": row["period_start"]} for row in rows],
    }


def _notes(rows: Sequence[Row]) -> list[str]:
    """Put into words what is released and is no number: keys that were selected, quantiles beyond the last bin."""
    without = [row for row in rows if row["status"] == "released" and row["estimate"] is None]
    selected = [row["metric_key"] for row in without if row["kind"] == "keys" and row["metric_key"] != "*"]
    return [f"Keys that were selected: {', '.join(selected)}."] * bool(selected) + [
        f"{_title(row).capitalize()}, {cohort(row)}: beyond the last bin, so there is no estimate."
        for row in without
        if row["kind"] != "keys"
    ]


def _withheld(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Group what is not shown by reason and cohort, with the wider cohort to look at instead."""
    names = {row["cohort_key"]: cohort(row) for row in rows}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=_place):
        if row["status"] != "released":
            groups.setdefault((row["status"], cohort(row)), []).append(row)
    return [
        {
            "reason": reason,
            "cohort": name,
            "figures": len(of_group),
            "instead": sorted({names[row["rolled_up_key"]] for row in of_group if row["rolled_up_key"]}),
        }
        for (reason, name), of_group in groups.items()
    ]


def _fact(row: Row, figures: Sequence[Row]) -> dict[str, Any]:
    """Add to what is declared how far the figures shown in the newest period are off."""
    newest = max((each["period_start"] for each in figures), default=None)
    errors = finite(
        each["error_points"]
        for each in figures
        if (each["period_start"], each["metric"], each["status"]) == (newest, row["metric"], "released")
    )
    return {**row, "least_error": min(errors, default=None), "greatest_error": max(errors, default=None)}


def budget(row: Row) -> dict[str, Any]:
    """Add to a window of a budget what is left of it, and which part is spent, in percent."""
    spent, limit = row["rho"], row["limit"]
    return {
        **row,
        "left": None if limit is None else limit - spent,
        "part": None if not limit else round(float(min(100 * spent / limit, 100)), 2),
    }
