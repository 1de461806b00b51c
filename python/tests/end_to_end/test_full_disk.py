"""A disk that is full or cannot be written: one clear line, the last release whole, and all is made good with room."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from quorum import release_folders
from quorum.errors import BadInput
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

SECOND_NIGHT = worlds.LAST_DAY + timedelta(weeks=2)
PAGE = 4096
MOUNT, UNMOUNT = (shutil.which(name) or name for name in ("mount", "umount"))


class Disk:
    """A file system of its own, in memory, of a size that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: int) -> None:
        self.remount(f"size={size // PAGE * PAGE}")

    def remount(self, options: str) -> None:
        subprocess.run([MOUNT, "-o", f"remount,{options}", str(self.folder)], check=True, capture_output=True)

    @property
    def used(self) -> int:
        return shutil.disk_usage(self.folder).used


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here: a disk cannot be filled")
    yield Disk(folder)
    subprocess.run([UNMOUNT, "-l", str(folder)], check=True)


def run(workspace: Workspace, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from quorum import cli; cli.main()", "run"]
    options = [f"--workspace={workspace.root}", f"--as-of={SECOND_NIGHT}"]
    return subprocess.run([*program, *options], capture_output=True, text=True, env=os.environ | environment)


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that says what is wrong; steps of the night come before it."""
    told = [line for line in result.stderr.splitlines() if line.startswith("quorum: ")]
    others = [line for line in result.stderr.splitlines() if not line.startswith(("quorum: ", "["))]
    assert others == []
    assert len(told) == 1
    return told[0]


# how much room there is beyond what is used, in MiB: the night fills it early, amid the build, or while it publishes
@pytest.mark.soak
@pytest.mark.parametrize("room", [*range(12), *range(12, 28, 2)])
def test_a_disk_that_fills_up(room: int, simulated_night: Night, disk: Disk, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, disk.folder / "workspace")
    later = worlds.simulated(tmp_path / "later", last_day=SECOND_NIGHT, seed=8)
    shutil.copytree(later.landing, workspace.landing, dirs_exist_ok=True)
    before = (workspace.published / "current").readlink()
    disk.resize(disk.used + room * 2**20)

    result = run(workspace)

    if result.returncode == 0:
        pytest.skip("there was room enough")
    assert result.returncode == 1, result.stderr
    assert "make room and run again, the last release stands" in last_line(result)
    assert "example.com" not in result.stdout + result.stderr
    assert (workspace.published / "current").readlink() == before
    assert release_folders.verify(workspace) > 0
    disk.resize(2**30)
    mended = run(workspace)
    assert mended.returncode == 0, mended.stderr
    assert (workspace.published / "current").readlink() != before
    assert release_folders.verify(workspace) > 0
    assert len(list((workspace.published / "releases").iterdir())) == 2


def test_a_disk_that_nobody_may_write(disk: Disk) -> None:
    workspace = Workspace(disk.folder / "workspace")
    assert worlds.quorum(workspace, "init").exit_code == 0
    disk.remount("ro")
    result = run(workspace)
    assert result.returncode == BadInput.exit_code, result.stderr
    assert last_line(result).startswith("quorum: cannot write to the workspace ")
