"""Nights that all processes of a test run look at: whoever is first to ask makes one, and the others copy it."""

import fcntl
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from quorum import nightly
from quorum.workspace import Workspace
from tests.end_to_end import worlds


@dataclass(frozen=True)
class Night:
    workspace: Workspace
    report: nightly.Report


def shared(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Night]) -> Night:
    """Return the night of that name, in a workspace of this process; ``make`` is given a folder to make it in."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make(factory.mktemp(name))
    common = factory.getbasetemp().parent / "shared"  # of this run, as the folder of each process is
    common.mkdir(exist_ok=True)
    report = common / f"{name}.report"
    with (common / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            report.write_bytes(pickle.dumps(make(common / name).report))
    workspace = worlds.copied(Workspace(common / name), factory.mktemp(name) / "workspace")
    return Night(workspace, pickle.loads(report.read_bytes()))  # noqa: S301  # it is our own
