"""The benchmarks as a dashboard asks for them: one release at a time, read-only, and nothing beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

FIGURE = ("release", "metric", "metric_key", "segment")
SHARES = ("distinct_users", "histogram")  # kinds whose figures are parts of one


def newest(published: Path) -> Path:
    """Return the folder of the release that readers are to have now.

    Resolve ``current`` once and open everything below what comes of it: then all of it is of one release. Below
    ``current`` itself the next file may be of another.
    """
    return (published / "current").resolve(strict=True)


@dataclass(frozen=True)
class Figure:
    """One figure of the public keyset: a metric, of which it may be one key, and one segment of users."""

    release: str
    metric: str
    metric_key: str
    segment: str
    kind: str
    estimand: str

    @property
    def is_share(self) -> bool:
        return self.kind in SHARES

    @property
    def name(self) -> str:
        parts = [self.metric, *(part for part in (self.metric_key, self.segment) if part != "*")]
        return ": ".join(part.replace("_", " ") for part in parts)


class Benchmarks:
    """The cross-tenant marts of one release, open for as long as this is held."""

    def __init__(self, release: Path) -> None:
        self.release = release
        self._connection = duckdb.connect(release / "cross_tenant" / "benchmarks.duckdb", read_only=True)

    def figures(self) -> list[Figure]:
        """Return all that are numbers; keys that were selected are none."""
        rows = self._rows(
            "select distinct release, metric, metric_key, segment, kind, estimand from mart_benchmarks "
            "where kind <> 'keys' order by release, metric, metric_key, segment"
        )
        return [Figure(*row) for row in rows.itertuples(index=False)]

    def rows(self, figure: Figure) -> pd.DataFrame:
        """Return a row per period and cohort: the figure with its 95 % interval, or why it is withheld."""
        rows = self._rows(
            """
            select
                period_start, cohort_level, cohort_key, status, estimate, estimate_low, estimate_high, users,
                rolled_up_key,
                coalesce(
                    nullif(concat_ws(' · ', nullif(cohort_industry, '*'), nullif(cohort_region, '*'),
                        nullif(cohort_size_band, '*')), ''),
                    'all cohorts'
                ) as cohort
            from mart_benchmarks
            where (release, metric, metric_key, segment) = ($1, $2, $3, $4)
            order by period_start, cohort_level = 'atom', cohort_level <> 'all', cohort
            """,
            [getattr(figure, name) for name in FIGURE],
        )
        return rows.astype({"period_start": "datetime64[us]"})

    def facts(self, figure: Figure) -> dict[str, Any]:
        """Return what is declared of the metric: whom it protects, how far, and what that costs in precision."""
        found = self._rows(
            "select * from mart_benchmark_catalog where release = $1 and metric = $2", [figure.release, figure.metric]
        )
        return dict(found.iloc[0])

    def _rows(self, query: str, parameters: list[Any] | None = None) -> pd.DataFrame:
        # a cursor of its own: two people may look at once
        with self._connection.cursor() as cursor:
            return cursor.execute(query, parameters or []).df()
