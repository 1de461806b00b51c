"""What stands before a release: all marts against their expectations, and against the release that readers have.

What is wrong with one tenant's rows withholds that tenant's new bundle; what is wrong with a mart keeps the last
release. Pages of what was checked, without a value in them, are for the operator (``restricted/data_docs``).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from quorum import suites, warehouse
from quorum.errors import Refused
from quorum.expectations import Failure, Gate, Suite
from quorum.ledger import Answer
from quorum.marts import BENCHMARKS, METRIC_CATALOG, Published, Relation
from quorum.suites import Fact, Range
from quorum.warehouse import quoted
from quorum.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

RANGES = (
    f"select metric, minimum, maximum from {METRIC_CATALOG} where mart = ? and coalesce(minimum, maximum) is not null"
)
FEWEST_ROWS = 20  # of a mart in the last release, below which its rows are not counted
STAYS, GOES = "its last bundle stays", "its last bundle goes, for it is of before an erasure or a change of its key"
REMEDY = "look at the mart in warehouse/ and run again"
ACCEPT = "if that is as it should be, run with --accept-changes"
# Identifiers, and what stands for a person or an event: no column of these names leaves the warehouse.
FORBIDDEN = frozenset(
    {
        *(
            "user_id",
            "anonymous_id",
            "account_id",
            "event_id",
            "session_id",
            "email",
            "phone",
            "ip",
            "user_agent",
            "url",
        ),
        *("unit_key", "user_key", "anonymous_key", "person_key", "device_key", "event_key", "session_key"),
        *("contributor_key", "properties", "payload", "landing_file", "landing_row"),
    }
)


@dataclass(frozen=True)
class Last:
    """What readers have: the rows of each tenant's marts by its key, and the folder of the benchmarks."""

    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    benchmarks: Path | None = None


@dataclass(frozen=True)
class Verdict:
    """Whose new bundles are withheld and why, by tenant key; how many rows of the benchmarks have which status."""

    withheld: dict[str, str]
    statuses: dict[str, int]

    def said(self, tenant_key: str, outdated: Collection[str]) -> str:
        """Return why a bundle is withheld, and what becomes of the last one, which goes where it is outdated."""
        why = self.withheld[tenant_key]
        return why.replace(STAYS, GOES) if tenant_key in outdated else why


class Checks:
    """Goes through all marts of a workspace; raises Refused where one may not be published at all."""

    def __init__(self, workspace: Workspace, published: Published, last: Last, *, accept_changes: bool = False) -> None:
        self._workspace = workspace
        self._published = published
        self._last = Last() if accept_changes else last
        self._gate = Gate()
        self._withheld: dict[str, str] = {}

    def all(self, features: Sequence[str], answers: Iterable[Answer]) -> Verdict:
        """Check everything; ``features`` are the public keys, ``answers`` those of the ledger."""
        try:
            for mart in (*self._published.of_tenants, *self._published.benchmarks):
                if named := sorted(FORBIDDEN & {column.name for column in mart.columns}):
                    raise Refused(f"{mart.name} has a column {named[0]}, which never leaves the warehouse: take it out")
            self._tenants()
            return Verdict(self._withheld, self._benchmarks(features, answers))
        finally:
            self._gate.write_pages(self._workspace.restricted / "data_docs")

    def _tenants(self) -> None:
        counted: list[dict[str, object]] = []
        with warehouse.opened(self._workspace, "tenant", read_only=True) as connection:
            for mart in self._published.of_tenants:
                found = warehouse.rows(connection, RANGES, [mart.name])
                ranges = [Range(row["metric"], row["minimum"], row["maximum"]) for row in found]
                frame = connection.execute(f"select * from {mart.name}").df()
                self._withhold(suites.tenant_mart(mart, ranges), frame, REMEDY)
                counted += self._left(mart.name, frame)
        if counted:
            import pandas as pd

            self._withhold(suites.kept_rows(), pd.DataFrame(counted), ACCEPT)

    def _withhold(self, suite: Suite, frame: "pd.DataFrame", remedy: str) -> None:
        """Note whose rows fail a suite; raises where all of several tenants' do, or nobody's, or the columns differ."""
        failure = self._gate.check(suite, frame)
        if failure is None:
            return
        parts = {} if failure.is_of_columns else {str(key): part for key, part in frame.groupby("tenant_key")}
        failures = dict(self._failing(suite, parts))
        if not failures or 1 < len(parts) == len(failures):
            raise Refused(f"{failure}: the last release stays; {remedy}")
        for tenant_key, of_tenant in failures.items():
            self._withheld.setdefault(tenant_key, f"{of_tenant}: {STAYS}; {remedy}")

    def _failing(self, suite: Suite, parts: "Mapping[str, pd.DataFrame]") -> Iterator[tuple[str, Failure]]:
        """Halve what fails, until it is one tenant's: few fail of many."""
        import pandas as pd

        if not parts:
            return
        failure = self._gate.recheck(suite, pd.concat(parts.values()))
        if failure is None:
            return
        keys = list(parts)
        if len(keys) == 1:
            yield keys[0], failure
        else:
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                yield from self._failing(suite, {key: parts[key] for key in half})

    def _left(self, mart: str, frame: "pd.DataFrame") -> Iterator[dict[str, object]]:
        now = frame["tenant_key"].value_counts().to_dict()
        for tenant_key, rows in self._last.rows.items():
            before = rows.get(mart, 0)
            if before >= FEWEST_ROWS:
                left = 100 * now.get(tenant_key, 0) / before
                yield {"tenant_key": tenant_key, "mart": mart, "percent_left": left}

    def _benchmarks(self, features: Sequence[str], answers: Iterable[Answer]) -> dict[str, int]:
        statuses: Counter[str] = Counter()
        facts = [Fact.of(answer) for answer in answers]
        with warehouse.opened(self._workspace, "released", read_only=True) as connection:
            for mart in self._published.benchmarks:
                rows = connection.execute(f"select * from {mart.name}").df()
                self._refuse(self._gate.check(suites.benchmark_mart(mart, features, facts), rows), REMEDY)
                if mart.name == BENCHMARKS:
                    statuses.update(rows["status"])
            changes = self._changes(connection)
        if changes is not None:
            self._refuse(self._gate.check(suites.kept_figures(), changes), ACCEPT)
        return dict(statuses)

    def _changes(self, connection: duckdb.DuckDBPyConnection) -> "pd.DataFrame | None":
        """Compare each figure that is released with what the last release says of it."""
        [mart] = [mart for mart in self._published.benchmarks if mart.name == BENCHMARKS]
        file = self._last.benchmarks / f"{BENCHMARKS}.parquet" if self._last.benchmarks else None
        if file is None or not file.exists():
            return None
        try:
            return connection.execute(_changes(mart, file)).df()
        except duckdb.Error:  # the query is sound: it is the file that readers have
            raise Refused(f"{file} cannot be read: put it back, or run with --accept-changes") from None

    @staticmethod
    def _refuse(failure: Failure | None, remedy: str) -> None:
        if failure:
            raise Refused(f"{failure}: the last release stays; {remedy}")


def _changes(mart: Relation, file: Path) -> str:
    # a seed's grain may hold NULL
    same = " and ".join(f"now.{name} is not distinct from before.{name}" for name in mart.grain)
    return f"""
        select '{mart.name}' as mart, abs(now.estimate - before.estimate) / greatest(abs(before.estimate), 1) as change
        from {mart.name} as now
        inner join read_parquet('{quoted(file)}') as before on {same}
        where now.status = 'released' and before.status = 'released' and now.answer_id = before.answer_id
    """
