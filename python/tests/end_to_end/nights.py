"""Nights in processes of their own, to be killed: forks of one that has imported all and let dbt parse the project.

An interpreter takes ten seconds to get there, more than most of what a killed night does. The process that forks has
one thread of Python's and no database open. Run as a program it takes an order a line, forks, and tells how it ended.
"""

import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from unittest import mock

# What a process does to folders and links, and to files before it has them; most of it is `open`.
STEPS = ("open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")


@dataclass(frozen=True)
class Order:
    """A night, or only its last part: what is left to be done where all is built, answered and not published.

    It dies where it would call the function ``dies_at``; one that only publishes also where, counted from one, it
    would take the step ``dies_at_step`` of that. ``steps`` is a file for the names of those that it took.
    """

    workspace: str
    as_of: str
    tested: bool = True  # as the console script does it; else without dbt's data tests
    only_publishes: bool = False
    dies_at: str = ""
    dies_at_step: int = 0
    steps: str = ""


class Nights:
    """The process that forks."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def run(self, order: Order, *, dies_after: float = float("inf"), meanwhile: Callable[[], None]) -> int:
        """Have a night done; return how its process ended, as `subprocess` does. Kill it after so many seconds."""
        assert self._process.stdin
        began = time.monotonic()
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        pid, end = self._told(), None
        try:
            while not select.select([self._process.stdout], [], [], 0.1)[0]:
                if time.monotonic() - began > dies_after:
                    _kill(pid)
                meanwhile()
            end = self._told()
        finally:
            if end is None:  # somebody is not content, or out of patience: the next night is to begin alone
                _kill(pid)
                self._told()
        meanwhile()
        return end

    def _told(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())  # not buffered: what is not read yet can be waited for


@contextmanager
def started() -> Iterator[Nights]:
    """Start the process, and end it."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        nights = Nights(process)
        assert nights._told() == os.EX_OK
        yield nights
        assert process.stdin
        process.stdin.close()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGKILL)


def _serve() -> None:
    _get_ready()
    gc.freeze()  # a fork that collects would copy what it looks at
    print(os.EX_OK, flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os._exit(_ended(Order(**json.loads(line))))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _get_ready() -> None:
    import great_expectations  # noqa: F401
    from dbt.cli.main import dbtRunner  # noqa: F401

    from quorum import cli, nightly  # noqa: F401
    from quorum.runner import Dbt
    from quorum.workspace import Workspace
    from tests.end_to_end import worlds  # noqa: F401

    with tempfile.TemporaryDirectory() as elsewhere:
        Dbt(Workspace(Path(elsewhere))).manifest()


def _ended(order: Order) -> int:
    """Do the night, and return how it ended; never comes back where it dies."""
    with Path(os.devnull).open("r+") as nothing:
        for stream in range(3):
            os.dup2(nothing.fileno(), stream)
    try:
        with ExitStack() as stack:
            if order.dies_at:
                stack.enter_context(mock.patch(order.dies_at, _die))
            _publish(order) if order.only_publishes else _run(order)
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        return os.EX_SOFTWARE
    return os.EX_OK


def _run(order: Order) -> None:
    from quorum import cli
    from quorum.workspace import Workspace
    from tests.end_to_end import worlds

    if order.tested:
        cli.main(["run", f"--workspace={order.workspace}", f"--as-of={order.as_of}"])
    else:
        worlds.run(Workspace(Path(order.workspace)), date.fromisoformat(order.as_of))


def _publish(order: Order) -> None:
    from quorum import bundles, losses, nightly, publish, release_facts
    from quorum.marts import Published
    from quorum.workspace import Workspace

    workspace = Workspace(Path(order.workspace))
    with workspace.locked():
        night = nightly._Night(workspace, date.fromisoformat(order.as_of), lambda _step: None)
        night.read_rules()
        marts, budgets = Published.of(night._dbt.manifest()), losses.of_newest_periods(night._ledger)
        facts = release_facts.of(workspace, night._ledger, night._rules.policies, night.report.as_of)
        publication = publish.Publication(workspace, marts, facts, budgets)
        steps = _count_steps(order)
        publication.build(bundles.of_tenants(workspace, night._keyring), (), (), lambda _step: None)
        publication.publish()
        if order.steps:
            Path(order.steps).write_text(json.dumps(steps))
        night._record_release()


def _count_steps(order: Order) -> list[str]:
    """Count each step that is about to be taken where readers look, and die at the one that is ordered."""
    taken: list[str] = []
    places = tuple(f"{order.workspace}/{part}" for part in ("published", "restricted/releases"))

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event in STEPS and any(str(each).startswith(places) for each in arguments[:2]):
            taken.append(event)
            if len(taken) == order.dies_at_step:
                _die()

    sys.addaudithook(hear)
    return taken


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _serve()
