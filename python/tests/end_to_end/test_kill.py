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
from datetime import timedelta
from pathlib import Path

import pytest

from quorum import publish
from quorum.hash_chain import ChainedLog
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

SECOND_NIGHT = worlds.LAST_DAY + timedelta(weeks=2)

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
    "quorum.landing_queue.commit",  # rows are accounted for, and still in the queue
    "quorum.landing_queue.settle",  # the tenant plane has followed, and what changed is not forgotten
    "quorum.measurement.measure",  # budget is reserved, no noise is drawn: the next night takes the reservation over
    "quorum.release.write_answers",  # the ledger has the answer, the released plane has not
    "pathlib.Path.replace",  # a whole release is there, and readers are not moved to it
)
ROWS = (
    ("tenant", "from mart_tenant_daily order by all"),
    ("tenant", "from int_events order by all"),
    # no benchmark is released, so that no noise is in it
    ("tenant", "from mart_tenant_vs_benchmark order by all"),
    ("restricted", "from gov_landing_accounting order by all"),
)
OPEN_ROWS = " union all ".join(
    f"select count(*) from {name}" for name in ("landing_batch", "landing_rows", "int_event_changes")
)
ANSWERS = "select distinct answer_id from mart_benchmarks where answer_id is not null"
BENCHMARKS = "select period_start, status, * exclude (answer_id) from mart_benchmarks order by all"


@dataclass(frozen=True)
class Undisturbed:
    """A workspace before its second night, and one after it; how long that night takes a process of its own."""

    before: Workspace
    after: Workspace
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root = tmp_path_factory.mktemp("undisturbed")
    before = worlds.copied(simulated_night.workspace, root / "before")
    later = worlds.simulated(root / "later", last_day=SECOND_NIGHT, seed=8)
    shutil.copytree(later.landing, before.landing, dirs_exist_ok=True)
    after = worlds.copied(before, root / "after")
    began = time.monotonic()
    assert run(after) == 0
    return Undisturbed(before, after, time.monotonic() - began)


def run(workspace: Workspace, *, dies_at: str | None = None, dies_after: float = math.inf) -> int:
    """Run the second night in a process of its own while readers look on; return how the process ended."""
    program = ["-c", DIES_AT, dies_at] if dies_at else ["-c", "from quorum import cli; cli.main()"]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *program, "run", f"--workspace={workspace.root}", f"--as-of={SECOND_NIGHT}"],
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


def link(workspace: Workspace) -> Path:
    return (workspace.published / "current").readlink()


def files(workspace: Workspace) -> Counter[str]:
    """Count the files by name, whatever the random ids in their names; dbt's own files are its own affair."""
    names = (str(path.relative_to(workspace.root)) for path in workspace.root.rglob("*") if not path.is_dir())
    return Counter(re.sub("[0-9a-f]{16,}", "id", name) for name in names if not name.startswith("restricted/dbt/"))


def assert_made_good(workspace: Workspace, undisturbed: Undisturbed) -> None:
    """Check a workspace whose last night ended well: no answer is lost, none is paid for twice."""
    expected = undisturbed.after
    for plane, query in ROWS:
        assert worlds.fetch(workspace, plane, query) == worlds.fetch(expected, plane, query)
    assert worlds.fetch(workspace, "restricted", OPEN_ROWS) == [(0,), (0,), (0,)]
    assert files(workspace) == files(expected)
    assert publish.verify(workspace) == publish.verify(expected)
    ChainedLog(workspace.audit_log).verify()

    ledger = Ledger.open(workspace.ledger_url)
    ledger.verify()
    charged = [charge.slot for charge in ledger.charges()]
    answers = [answer for release in {slot.release for slot in charged} for answer in ledger.answers(release)]
    assert len({(answer.slot.release, answer.slot.start) for answer in answers}) == len(answers)
    assert sorted(slot.key for slot in charged) == sorted(answer.slot.key for answer in answers)
    kept = {id_ for (id_,) in worlds.fetch(workspace, "tenant", "select measurement_id from benchmark_shares")}
    recent = [answer for answer in answers if answer.slot.start > SECOND_NIGHT - timedelta(weeks=4)]
    assert kept == {answer.payload["measurement_id"] for answer in recent}, "of each answer, and of no killed draw"
    assert {answer_id for (answer_id,) in worlds.fetch(workspace, "released", ANSWERS)} == {a.id for a in answers}
    assert worlds.fetch(workspace, "released", BENCHMARKS) == worlds.fetch(expected, "released", BENCHMARKS)


def test_killed_at_each_step(undisturbed: Undisturbed, tmp_path: Path) -> None:
    workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    (workspace.restricted / "spill" / "duckdb_temp_storage_DEFAULT-0.tmp").touch()  # as from a kill amid a large join
    for point in POINTS:
        assert run(workspace, dies_at=point) == -signal.SIGKILL, point
        assert link(workspace) == link(undisturbed.before)
    assert (workspace.published / "next").is_symlink()
    assert worlds.run(workspace, SECOND_NIGHT, tested=True).published
    assert_made_good(workspace, undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("kills", [pytest.param(6, id=f"{n}") for n in range(11)])
def test_killed_at_any_moment(kills: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    for number in range(kills):
        run(workspace, dies_after=undisturbed.seconds * (number + random.random()) / kills)
    worlds.run(workspace, SECOND_NIGHT)
    assert_made_good(workspace, undisturbed)
