"""A night that lacks memory writes parts of its relations to disk: neither keys nor raw values can be read there."""

import csv
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorum.keyring import MASTER_KEY_VARIABLE
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.canaries import secrets
from tests.end_to_end.leaks import Place, leaks

LOOKS = 12


@pytest.mark.soak
def test_a_night_that_spills_leaves_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = worlds.simulated(tmp_path / "workspace", tenants=8, users=1500, days=20)
    monkeypatch.setenv(MASTER_KEY_VARIABLE, b64encode(bytes(range(32))).decode())
    with (workspace.root / "truth" / "canaries.csv").open(newline="") as file:
        values = {row["value"] for row in csv.DictReader(file)}

    night = subprocess.Popen(
        [Path(sys.executable).with_name("quorum"), "run", f"--as-of={worlds.LAST_DAY}"],
        env=os.environ | {"QUORUM_WORKSPACE": str(workspace.root), "QUORUM_MEMORY_LIMIT": "150MB"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    looks = 0
    try:
        while night.poll() is None:
            if looks < LOOKS and spilt(workspace):
                night.send_signal(signal.SIGSTOP)  # what is on disk stays on disk while we look
                assert not leaks(secrets(workspace), bytes_below(workspace.root))
                assert not leaks(values, bytes_below(workspace.restricted / "spill"))
                night.send_signal(signal.SIGCONT)
                looks += 1
            time.sleep(0.2)
    finally:
        night.kill()
        night.wait()
    assert looks


def bytes_below(root: Path) -> Iterator[Place]:
    """Yield the files themselves: the databases are open elsewhere."""
    for path in root.rglob("*"):
        if path.is_file():
            yield Place(path.relative_to(root), "its bytes", path.read_bytes())


def spilt(workspace: Workspace) -> bool:
    return any(file.stat().st_size for file in (workspace.restricted / "spill").rglob("*") if file.is_file())
