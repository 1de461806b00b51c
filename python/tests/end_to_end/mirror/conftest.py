"""A server and a mirror for each file of tests: roles are the server's, and a test may spoil them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.mirror.mirrors import Mirror


@pytest.fixture(scope="module")
def own_server(programs: Path) -> Iterator[postgres.Server]:
    with postgres.running(programs) as server:
        yield server


@pytest.fixture(scope="module")
def mirror(own_server: postgres.Server, simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """The simulated night, mirrored."""
    workspace = worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("mirror") / "workspace")
    mirror = Mirror.made(own_server, workspace, "marts")
    assert mirror.bring()["moved"]
    return mirror
