"""Raw product events of a small multi-tenant SaaS, and the truth about them: the work of `quorum simulate`.

The same shape gives the same bytes, on any number of threads.
"""

from __future__ import annotations

import gzip
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from quorum.errors import BadInput
from quorum.simulate_activity import draw_events
from quorum.simulate_registry import declared, write_registry
from quorum.simulate_robots import draw_robots
from quorum.simulate_rows import land, load_rows
from quorum.simulate_truth import Truth, write_truth
from quorum.simulate_world import Shape, deal_tenants, describe_users, register_users, with_robots

__all__ = ["Shape", "Truth", "simulate"]


def simulate(workspace: Path, shape: Shape) -> Truth:
    """Write the registry, a landing file for each day, and into `truth/` what should come out of them."""
    registry = workspace / "registry"
    days = [shape.first_day + timedelta(days=day) for day in range(shape.days)]
    paths = {day: workspace / "landing" / "quorum" / f"{day}.jsonl.gz" for day in days}
    for path in (registry / "tenants.csv", *paths.values()):
        if path.exists():
            raise BadInput(f"{path} exists already: simulate into a fresh workspace")

    rng = np.random.default_rng(shape.seed)
    tenants = deal_tenants(shape)
    users = register_users(shape, rng)
    events = [draw_events(shape, rng, tenants, users), draw_robots(shape, rng, users)]
    everybody = describe_users(shape, with_robots(users), tenants)
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")  # it would go to stdout
        load_rows(connection, shape, everybody, land(shape, rng, pa.concat_tables(events)))
        tables = declared(connection, shape, tenants)
        write_registry(registry, tables)
        truth = write_truth(connection, workspace / "truth", tables, tuple(paths.values()))
        _write_landing(connection, paths)
    return truth


def _write_landing(connection: duckdb.DuckDBPyConnection, paths: dict[date, Path]) -> None:
    for day, path in paths.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Rows that are equal in both keys are duplicates: one line, whatever their order.
        connection.execute("select line from lines where landing_day = ? order by received, row", [day])
        text = "".join(f"{line}\n" for (line,) in connection.fetchall())
        path.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
