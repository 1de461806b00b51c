"""Killed at any moment, a night does no harm: readers see a whole release, and the next night ends as it would have."""

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quorum import release_folders
from quorum.errors import Busy
from quorum.hash_chain import ChainedLog
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import nights, worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.nights import Nights, Order

SECOND_NIGHT = worlds.LAST_DAY + timedelta(weeks=2)

# The night dies where it would call one of these; in its order, so that each run gets further than the one before it.
POINTS = (
    "quorum.landing_queue.commit",  # rows are accounted for, and still in the queue
    "quorum.landing_queue.settle",  # the tenant plane has followed, and what changed is not forgotten
    "quorum.measurement.measure",  # budget is reserved, no noise is drawn: the next night takes the reservation over
    "quorum.release.write_answers",  # the ledger has the answer, the released plane has not
    "quorum.publish.Publication.build",  # all is checked, and nothing is written for readers
)
SWEEPS = "shutil.rmtree"  # what was written for readers by a night that died goes
STEPS = 14  # of a publication, at each of which one dies
MOVED = "os.rename"  # the step that moves readers
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
    """A workspace before its second night, and one after it; how long that night takes, and what a second one said."""

    before: Workspace
    after: Workspace
    seconds: float
    turned_away: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def killed() -> Iterator[Nights]:
    with nights.started() as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(killed: Nights, simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root = tmp_path_factory.mktemp("undisturbed")
    before = worlds.copied(simulated_night.workspace, root / "before")
    later = worlds.simulated(root / "later", last_day=SECOND_NIGHT, seed=8)
    shutil.copytree(later.landing, before.landing, dirs_exist_ok=True)
    after = worlds.copied(before, root / "after")
    others: list[subprocess.CompletedProcess[str]] = []

    def look_on() -> None:
        whole_release(after.published)
        if not others and runs(after) > runs(before):
            others.append(second_run(after))

    began = time.monotonic()
    assert killed.run(Order(str(after.root), str(SECOND_NIGHT)), meanwhile=look_on) == 0
    return Undisturbed(before, after, time.monotonic() - began, *others)


def runs(workspace: Workspace) -> int:
    """Count the runs that have begun: that is written down where the workspace is held."""
    return workspace.audit_log.read_bytes().count(b"run_started")


def second_run(workspace: Workspace) -> "subprocess.CompletedProcess[str]":
    """Run the console script beside a run that is at work."""
    program = [sys.executable, "-c", "from quorum import cli; cli.main()", "run"]
    options = [f"--workspace={workspace.root}", f"--as-of={SECOND_NIGHT}"]
    return subprocess.run([*program, *options], capture_output=True, text=True)


def run(killed: Nights, workspace: Workspace, *, dies_after: float = float("inf"), **order: Any) -> int:
    """Run the second night, or what of it is ordered, while readers look on; return how its process ended."""
    ordered = Order(str(workspace.root), str(SECOND_NIGHT), **order)
    return killed.run(ordered, dies_after=dies_after, meanwhile=partial(whole_release, workspace.published))


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
    assert release_folders.verify(workspace) == release_folders.verify(expected)
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


def test_a_second_run_is_turned_away_and_the_first_ends_well(undisturbed: Undisturbed) -> None:
    """Two processes at once, over one workspace; that the first ended well, all other tests here rely on."""
    told = f"quorum: another run holds {undisturbed.after.root}: wait for it to end\n"
    second = undisturbed.turned_away
    assert (second.returncode, second.stdout, second.stderr) == (Busy.exit_code, "", told)


def test_killed_twenty_times(killed: Nights, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Five whole nights die at these points; then, for that is what readers see, fifteen while they publish."""
    workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    (workspace.restricted / "spill" / "duckdb_temp_storage_DEFAULT-0.tmp").touch()  # as from a kill amid a large join
    for point in POINTS:
        assert run(killed, workspace, tested=False, dies_at=point) == -signal.SIGKILL, point
    steps = some_steps(killed, worlds.copied(workspace, tmp_path / "counted"))
    for step in steps:
        assert link(workspace) == link(undisturbed.before), step
        assert run(killed, workspace, only_publishes=True, dies_at_step=step) == -signal.SIGKILL, step
        if step == steps[1]:
            assert run(killed, workspace, only_publishes=True, dies_at=SWEEPS) == -signal.SIGKILL
    assert link(workspace) != link(undisturbed.before), "the last had moved readers"
    assert worlds.run(workspace, SECOND_NIGHT, tested=True).published is None
    assert_made_good(workspace, undisturbed)


def some_steps(killed: Nights, copy: Workspace) -> list[int]:
    """Choose steps of a publication, any but the last two: to move readers, and the first after it."""
    file = copy.root / "steps.json"
    assert run(killed, copy, only_publishes=True, steps=str(file)) == 0
    steps = json.loads(file.read_text())
    moves = len(steps) - steps[::-1].index(MOVED)
    return [*sorted(random.sample(range(2, moves), STEPS - 2)), moves, moves + 1]


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [pytest.param(5, id=f"{n}") for n in range(40)])
def test_killed_at_any_moment(kills: int, killed: Nights, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Each night dies at a random moment, and the next goes on from there; if one ends before it, all begins anew."""
    workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    deaths = ended = 0
    while deaths < kills:
        end = run(killed, workspace, dies_after=undisturbed.seconds * random.random())
        if end == -signal.SIGKILL:
            deaths += 1
            print(f"killed {deaths} of {kills}", flush=True)
            continue
        assert end == 0
        assert_made_good(workspace, undisturbed)
        ended += 1
        shutil.rmtree(workspace.root)
        workspace = worlds.copied(undisturbed.before, tmp_path / "workspace")
    worlds.run(workspace, SECOND_NIGHT, tested=True)
    assert_made_good(workspace, undisturbed)
    print(f"{deaths} nights were killed, {ended} had ended before that")
