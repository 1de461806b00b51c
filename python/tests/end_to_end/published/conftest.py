"""What a night of two cohorts has published, and for whom."""

from pathlib import Path

import pytest

from quorum.keyring import TenantKeys
from quorum.marts import Published, Relation
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end.conftest import Night
from tests.end_to_end.published import releases


@pytest.fixture(scope="session")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


@pytest.fixture(scope="session")
def release(workspace: Workspace) -> Path:
    return releases.release(workspace)


@pytest.fixture(scope="session")
def bundles(workspace: Workspace) -> dict[Path, TenantKeys]:
    return releases.bundles(workspace)


@pytest.fixture(scope="session")
def marts(workspace: Workspace) -> tuple[Relation, ...]:
    """What each tenant gets."""
    return Published.of(Dbt(workspace).manifest()).of_tenants
