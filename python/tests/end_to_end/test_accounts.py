"""How accounts are used, and on whom a tenant's figures lean, against the raw lines."""

import hmac
from dataclasses import astuple

import pytest

from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_accounts import accounts, skew

# All that there is to tell apart, in histories by hand; the simulated tenants are too young for a score.
STATES = {"in_batches": {"ok", "not_enough_data"}, "product_night": {"not_enough_data"}}


@pytest.fixture(params=STATES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def workspace(name: str, request: pytest.FixtureRequest) -> Workspace:
    night: Night = request.getfixturevalue(name)
    return night.workspace


def test_accounts_are_what_the_raw_rows_say(name: str, workspace: Workspace) -> None:
    keys = Keyring.open(workspace.keyring).tenants()
    expected = {
        tenant: sorted(
            (hmac.digest(keys[tenant].pseudonym_keys[0], f"account:{row.account}".encode(), "sha256").hex()[:32], *rest)
            for row in rows
            for _, *rest in [astuple(row)]
        )
        for tenant, rows in accounts(Oracle(workspace.root, worlds.LAST_DAY)).items()
    }
    assert worlds.rows_by_tenant(workspace, "select * from mart_tenant_accounts order by all") == expected
    columns = list(zip(*(row for rows in expected.values() for row in rows), strict=True))
    assert set(columns[-1]) == STATES[name]
    assert len(set(columns[3])) > 2, "accounts of one seat and of several"


def test_skew_is_what_the_raw_rows_say(workspace: Workspace) -> None:
    found = worlds.rows_by_tenant(workspace, "select * from mart_tenant_skew order by all")
    expected = skew(Oracle(workspace.root, worlds.LAST_DAY))
    assert found == {tenant: [astuple(row) for row in rows] for tenant, rows in expected.items()}
    assert {row.dimension: row.members > 0 for row in expected.popitem()[1]} == dict.fromkeys(
        ("account", "day", "user"), True
    )
