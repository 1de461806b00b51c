"""Nothing that is published across tenants is a function of exact data, but for what the noise lets through.

Two worlds differ in one user's raw rows. Where the noise drowns all that it is given, both publish the same bytes.
"""

import csv
import gzip
import json
import random
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from quorum import measurement, release_folders
from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.neighbours import Unit

EXACT = "select metric, key, sum(value) from dp_engagement group by all order by all"


def drowned(values: Sequence[int], scale: float) -> list[int]:
    """Return what the values have no part in: large, so that each group that is a quorum looks like one."""
    dice = random.Random(f"{len(values)} {scale}")
    return [dice.randrange(10**9, 2 * 10**9) for _ in values]


def published(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a night whose noise and random ids are always the same ones; return what all may read."""
    ids = random.Random(0)
    with monkeypatch.context() as patched:
        patched.setattr(measurement, "measure", partial(measurement.measure, noise=drowned))
        patched.setattr(secrets, "token_hex", lambda n: ids.randbytes(n).hex())
        assert worlds.run(workspace).published
    folder = workspace.published / "current" / release_folders.CROSS_TENANT
    found: dict[str, Any] = {file.name: file.read_bytes() for file in folder.iterdir()}
    # DuckDB writes an id of its own into each file, so what is in it is compared, and its hash is not
    del found["benchmarks.duckdb"]
    manifest = json.loads(found["manifest.json"])
    del manifest["files"]["benchmarks.duckdb"]["sha256"]
    with duckdb.connect(str(folder / "benchmarks.duckdb"), read_only=True) as connection:
        marts = [
            name for (name,) in connection.execute("select table_name from duckdb_tables() order by all").fetchall()
        ]
        rows = {name: connection.execute(f"from {name}").fetchall() for name in marts}
        columns = connection.execute("select table_name, column_name, comment from duckdb_columns() order by all")
        return found | {"manifest.json": manifest, "rows": rows, "columns": columns.fetchall()}


def without(unit: Unit, workspace: Workspace) -> int:
    """Remove all raw rows of a unit; return how many there were."""
    removed = 0
    for file in (workspace.landing / "quorum").iterdir():
        kept = []
        for line in gzip.decompress(file.read_bytes()).splitlines(keepends=True):
            try:
                removed_here = Unit.of(json.loads(line)) == unit
            except ValueError:  # half a line, which the simulator cut
                removed_here = False
            removed += removed_here
            kept += [] if removed_here else [line]
        file.write_bytes(gzip.compress(b"".join(kept)))
    return removed


def busiest(workspace: Workspace) -> Unit:
    """Return a unit of the largest tenant that signs in often."""
    counts: dict[Unit, int] = {}
    for file in (workspace.landing / "quorum").iterdir():
        for line in gzip.decompress(file.read_bytes()).splitlines():
            try:
                unit = Unit.of(json.loads(line))
            except ValueError:
                continue
            if unit and unit.kind == "user_id":
                counts[unit] = counts.get(unit, 0) + 1
    largest = max({unit.tenant for unit in counts}, key=lambda name: sum(u.tenant == name for u in counts))
    return max((unit for unit in counts if unit.tenant == largest), key=lambda unit: counts[unit])


def one_cohort(root: Path) -> Workspace:
    """Make a world of one atom, with few users more than a quorum has."""
    workspace = worlds.simulated(root, tenants=22, users=80, days=7)
    with (workspace.registry / "tenants.csv").open(newline="") as file:
        rows = [row | {"industry": "retail", "region": "eu"} for row in csv.DictReader(file)]
    worlds.registered(root, rows)
    return workspace


def test_one_user_more_changes_no_published_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = one_cohort(tmp_path / "base")
    Keyring.open(base.keyring)  # which makes it: the same keys for both
    neighbour = worlds.copied(base, tmp_path / "neighbour")
    assert without(busiest(base), neighbour) > 5

    first, second = published(base, monkeypatch), published(neighbour, monkeypatch)

    statuses = worlds.fetch(
        base, "released", "select release from mart_benchmarks where status = 'released' group by all"
    )
    assert {name for (name,) in statuses} >= {"engagement", "feature_usage"}, "there is something to compare"
    assert first == second
    exact, of_neighbour = (worlds.fetch(each, "cross_tenant", EXACT) for each in (base, neighbour))
    assert exact != of_neighbour, "the user was in what noise was given to"
