"""Nights that many tests look at and none may change: who has to change one copies it (`worlds.copied`)."""

import csv
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import BATCHES, History, histories
from tests.end_to_end.shared import Night as Night
from tests.end_to_end.shared import common, shared


@pytest.fixture(scope="session", autouse=True)
def _parsed_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let each process, copy of the project and child start from one parse: a whole one takes as long as a night."""
    root = common(tmp_path_factory)
    parsed = root / "partial_parse.msgpack"
    with (root / "partial_parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not parsed.exists():
            Dbt(Workspace(root / "parsed")).manifest()
            shutil.copy(root / "parsed/restricted/dbt/target/partial_parse.msgpack", parsed)
    os.environ["DBT_ENGINE_PARTIAL_PARSE_FILE_PATH"] = str(parsed)


def land_in_batches(tenants: list[History], root: Path) -> Night:
    workspace = worlds.registered(root, (version for tenant in tenants for version in tenant.registered()))
    for batch in range(BATCHES):
        worlds.land(workspace, f"{batch}.jsonl", (row for tenant in tenants for row in tenant.rows(batch)))
        report = worlds.build(workspace, tested=batch == BATCHES - 1)
    return Night(workspace, report)


@pytest.fixture(scope="session")
def simulated_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Six weeks of four tenants, every defect of the simulator included, in one night."""

    def make(root: Path) -> Night:
        workspace = worlds.simulated(root, days=40)
        return Night(workspace, worlds.run(workspace, tested=True))

    return shared("simulated", tmp_path_factory, make)


@pytest.fixture(scope="session")
def product_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Five weeks of six tenants, with all that a tenant's own metrics have to cope with; nothing is released."""

    def make(root: Path) -> Night:
        workspace = worlds.simulated(root, tenants=6, users=25, days=35)
        return Night(workspace, worlds.build(workspace, tested=True))

    return shared("product", tmp_path_factory, make)


@pytest.fixture(scope="session")
def tenants() -> list[History]:
    return histories(seed=1)


@pytest.fixture(scope="session")
def in_batches(tenants: list[History], tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The histories, a batch a night."""
    return shared("in_batches", tmp_path_factory, lambda root: land_in_batches(tenants, root))


@pytest.fixture(scope="session")
def at_once(in_batches: Night, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The same files in one night."""

    def make(root: Path) -> Night:
        workspace = worlds.sibling(in_batches.workspace, root)
        return Night(workspace, worlds.build(workspace, tested=True))

    return shared("at_once", tmp_path_factory, make)


@pytest.fixture(scope="session")
def benchmarked_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A week of two cohorts: the larger tenants, enough for a benchmark, and the smaller, too few for its tolerance."""

    def make(root: Path) -> Night:
        workspace = worlds.simulated(root, tenants=44, users=450, days=7)
        with (workspace.registry / "tenants.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        ranks = {tenant: rank for rank, tenant in enumerate(dict.fromkeys(row["tenant_id"] for row in rows))}
        for row in rows:
            is_large = ranks[row["tenant_id"]] < 22
            row |= {"industry": "retail", "region": "eu"} if is_large else {"industry": "media", "region": "us"}
        worlds.registered(workspace.root, rows)
        workspace.policy.mkdir(exist_ok=True)
        (workspace.policy / "releases.yml").write_text("releases: {feature_usage: {tolerance_points: 3.2}}")
        return Night(workspace, worlds.run(workspace, tested=True))

    return shared("benchmarked", tmp_path_factory, make)
