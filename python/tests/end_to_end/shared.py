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


def common(factory: pytest.TempPathFactory) -> Path:
    """Return a folder of this test run that all of its processes have."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def shared(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Night]) -> Night:
    """Return the night of that name, in a workspace of this process; ``make`` is given a folder to make it in."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make(factory.mktemp(name))
    root = common(factory)
    report = root / f"{name}.report"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            report.write_bytes(pickle.dumps(make(root / name).report))
    workspace = worlds.copied(Workspace(root / name), factory.mktemp(name) / "workspace")
    return Night(workspace, pickle.loads(report.read_bytes()))  # noqa: S301  # it is our own
