"""Killed at any moment, a night does no harm: readers see a whole release, and the next night ends as it would have."""

import hashlib
import json
import math
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import publish
from quorum.hash_chain import ChainedLog
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds

FIRST_NIGHT = worlds.LAST_DAY - timedelta(weeks=2)
RELEASE = "feature_usage"

# The console script, but for one function: where the night would call it, the process dies.
DIES_AT = """
import os, signal, sys
from unittest import mock
from quorum import cli
with mock.patch(sys.argv.pop(1), lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
    cli.main()
"""
# In the order of a night, so that each run gets further than the one before it.
POINTS = (
    "quorum.landing.commit",  # rows are accounted for, their files are not committed
    "quorum.release.measure",  # budget is reserved, no noise is drawn: the first week that is due is lost
    "quorum.release.write_answers",  # the ledger has the answer, the released plane has not
    "quorum.publish.Publication.publish",  # all is built, nothing of it is listed
    "pathlib.Path.replace",  # all is listed, readers are not moved
)
LOST_WEEK = FIRST_NIGHT + timedelta(days=1)

DAILY = "from mart_tenant_daily order by all"
BENCHMARKS = "select * exclude (answer_id) from mart_benchmark_features order by all"
ACCOUNTING = "from gov_landing_accounting order by all"
UNCOMMITTED = (
    "select count(*) from landing_files where state <> 'committed' union all select count(*) from landing_rows"
)


@dataclass(frozen=True)
class Undisturbed:
    """A workspace before its second night, and one after it; how long that night takes a process of its own."""

    before: Workspace
    after: Workspace
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root = tmp_path_factory.mktemp("undisturbed")
    world = worlds.simulated(root / "world", days=21)
    before = worlds.sibling(world, root / "before", keep=lambda file: file.name <= f"{FIRST_NIGHT}.jsonl.gz")
    worlds.run(before, FIRST_NIGHT)
    shutil.copytree(world.landing, before.landing, dirs_exist_ok=True)
    after = worlds.copied(before, root / "after")
    began = time.monotonic()
    assert run(after) == 0
    return Undisturbed(before, after, time.monotonic() - began)


def run(workspace: Workspace, *, dies_at: str | None = None, dies_after: float = math.inf) -> int:
    """Run the second night in a process of its own while readers look on; return how the process ended."""
    program = ["-c", DIES_AT, dies_at] if dies_at else ["-c", "from quorum import cli; cli.main()"]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *program, "run", f"--workspace={workspace.root}", f"--as-of={worlds.LAST_DAY}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            if time.monotonic() - began > dies_after:
                process.kill()
            whole_release(workspace.published)
            time.sleep(0.05)
    whole_release(workspace.published)
    return process.returncode


def whole_release(published: Path) -> None:
    """Look at the release as a reader does: each folder holds what its manifest lists, and nothing else."""
    release = (published / "current").resolve(strict=True)
    folders = [release / "cross_tenant", *(release / "tenants").iterdir()]
    assert len(folders) == 5
    for folder in folders:
        listed = json.loads((folder / "manifest.json").read_text())["files"]
        found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
        del found["manifest.json"]
        assert found == {name: file["sha256"] for name, file in listed.items()}


def files(workspace: Workspace) -> Counter[str]:
    """Count the files by name, whatever the random ids in their names; dbt's own files are its own affair."""
    names = (str(path.relative_to(workspace.root)) for path in workspace.root.rglob("*") if not path.is_dir())
    return Counter(re.sub("[0-9a-f]{16,}", "id", name) for name in names if not name.startswith("restricted/dbt/"))


def benchmarks(workspace: Workspace, without: set[date]) -> list[tuple[Any, ...]]:
    query = "select * exclude (answer_id) from mart_benchmark_features where not list_contains(?, period_start) order by all"
    return worlds.fetch(workspace, "released", query, [list(without)])


def assert_made_good(workspace: Workspace, undisturbed: Undisturbed, lost: set[date]) -> None:
    """Check a workspace whose last night ended well; of the weeks ``lost`` the budget went, and no answer came."""
    expected = undisturbed.after
    assert worlds.fetch(workspace, "tenant", DAILY) == worlds.fetch(expected, "tenant", DAILY)
    assert benchmarks(workspace, lost) == benchmarks(expected, lost)
    assert worlds.fetch(workspace, "restricted", ACCOUNTING) == worlds.fetch(expected, "restricted", ACCOUNTING)
    assert worlds.fetch(workspace, "restricted", UNCOMMITTED) == [(0,), (0,)]
    assert files(workspace) == files(expected)

    ledger = Ledger.open(workspace.ledger_url)
    assert ledger.verify() == ledger.length
    paid = {(charge.slot.release, charge.slot.start) for charge in ledger.charges()}
    answered = [(answer.slot.release, answer.slot.start) for answer in ledger.answers(RELEASE)]
    assert len(answered) == len(set(answered))
    assert paid - set(answered) == {(RELEASE, week) for week in lost}
    assert set(answered) < paid or not lost
    assert publish.verify(workspace) == publish.verify(expected)
    assert ChainedLog(workspace.audit_log).verify()


def test_killed_at_each_step_of_a_night(undisturbed: Undisturbed, tmp_path: Path) -> None:
    workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    for point in POINTS:
        assert run(workspace, dies_at=point) == -signal.SIGKILL, point
        assert publish.current(workspace).name == publish.current(undisturbed.before).name
    assert worlds.run(workspace).published
    assert_made_good(workspace, undisturbed, {LOST_WEEK})
    assert {row[0] for row in worlds.fetch(workspace, "released", "select status ...")}


@pytest.mark.parametrize("kills", [3, *(pytest.param(6, marks=pytest.mark.soak, id=f"round {n}") for n in range(10))])
def test_killed_at_any_moment(kills: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    for number in range(kills):
        run(workspace, dies_after=undisturbed.seconds * (number + random.random()) / kills)
    worlds.run(workspace)
    assert_made_good(workspace, undisturbed, set())
