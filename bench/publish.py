"""What publishing costs: a bundle for each tenant, against the plain loop that exports the same marts, run beside it.

    python bench/publish.py [--tenants 1000] [--users 4]

A night publishes them for the first time, then one finds all as it was, and then two in a hundred tenants send a line.
The plain loop writes the same rows of the same marts to a DuckDB file of each tenant: not encrypted, without comments,
page or manifest, not synced to the disk, and moved nowhere. Prints a table; nothing here is a test.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from quorum import bundles, nightly, warehouse
from quorum.keyring import Keyring
from quorum.marts import Published
from quorum.runner import Dbt
from quorum.simulate import Shape, simulate
from quorum.workspace import Workspace


class Steps:
    """When each step of a night began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def __call__(self, step: str) -> None:
        self.began.setdefault(step, time.perf_counter())


def night(workspace: Workspace, shape: Shape) -> tuple[float, float, int]:
    """Do a night; return the seconds that its gate and its publication took, and how many bundles there are."""
    steps = Steps()
    report = nightly.run(workspace, shape.last_day, steps)
    ended = time.perf_counter()
    if report.withheld:
        sys.exit(f"bundles were withheld: {report.withheld}")
    checked, published = steps.began["checking the marts"], steps.began["publishing"]
    return published - checked, ended - published, report.bundles


def exported(workspace: Workspace, folder: Path) -> tuple[float, int]:
    """Write the marts to a file of each tenant as a loop would; return its seconds, and how many files there are."""
    marts = [mart.name for mart in Published.of(Dbt(workspace).manifest()).of_tenants]
    tenants = [bundle.tenant_key for bundle in bundles.of_tenants(workspace, Keyring.open(workspace.keyring))]
    with warehouse.attached(workspace, "tenant") as connection:
        began = time.perf_counter()
        for tenant in tenants:
            connection.execute(f"attach '{folder / tenant}.duckdb' as plain")
            for mart in marts:
                query = f"select * from tenant.{mart} where tenant_key = '{tenant}'"
                connection.execute(f"create table plain.{mart} as {query}")
            connection.execute("detach plain")
        return time.perf_counter() - began, len(tenants)


def send_a_line(workspace: Workspace, shape: Shape, share: float) -> None:
    """Land an event of a new user, of some tenants: their figures change, and nobody else's."""
    tenants = sorted(Keyring.open(workspace.keyring).tenants().keys() - {"*"})
    at = f"{shape.last_day - timedelta(days=1)}T12:00:00Z"
    lines = [
        {"tenant_id": tenant, "event_id": f"late {tenant}", "event_name": "login", "user_id": "late", "occurred_at": at}
        for tenant in tenants[: max(1, round(share * len(tenants)))]
    ]
    file = workspace.landing / "quorum" / "late.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--users", type=int, default=4)
    options = parser.parse_args()
    shape = Shape(tenants=options.tenants, users=options.users, days=14)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as plain:
        simulate(Path(folder), shape)
        workspace = Workspace(Path(folder))
        nights: dict[str, Callable[[], None]] = {
            "for the first time": lambda: None,
            "all as it was": lambda: None,
            "2 in 100 changed": lambda: send_a_line(workspace, shape, 0.02),
        }
        print(f"{'':<20}{'bundles':>9}{'gate':>9}{'publish':>9}{'ratio':>8}")
        baseline = 0.0
        for name, happens in nights.items():
            happens()
            gate, published, count = night(workspace, shape)
            if not baseline:
                baseline, files = exported(workspace, Path(plain))
                print(f"{'plain loop':<20}{files:>9,}{'':>9}{baseline:>9.1f}{1:>8.2f}")
            print(f"{name:<20}{count:>9,}{gate:>9.1f}{published:>9.1f}{published / baseline:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
