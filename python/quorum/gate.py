"""What stands before a release: all marts against their expectations."""

from collections import Counter

from quorum import expectations, warehouse
from quorum.marts import BENCHMARKS, METRIC_CATALOG, Published
from quorum.workspace import Workspace

RANGES = (
    f"select metric, minimum, maximum from {METRIC_CATALOG} where mart = ? and coalesce(minimum, maximum) is not null"
)


def check(workspace: Workspace, published: Published, features: list[str]) -> dict[str, int]:
    """Raise Refused where a mart is not as it has to be; return how many rows of the benchmarks have which status."""
    gate = expectations.Gate()
    with warehouse.opened(workspace, "tenant", read_only=True) as connection:
        for mart in published.of_tenants:
            found = warehouse.rows(connection, RANGES, [mart.name])
            ranges = [expectations.Range(row["metric"], row["minimum"], row["maximum"]) for row in found]
            gate.check(expectations.tenant_mart(mart, ranges), connection.execute(f"select * from {mart.name}").df())
    statuses: Counter[str] = Counter()
    with warehouse.opened(workspace, "released", read_only=True) as connection:
        for mart in published.benchmarks:
            rows = connection.execute(f"select * from {mart.name}").df()
            gate.check(expectations.benchmark_mart(mart, features), rows)
            if mart.name == BENCHMARKS:
                statuses.update(rows["status"])
    return dict(statuses)
