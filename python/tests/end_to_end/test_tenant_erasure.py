"""Forgetting a tenant: its rows, its folders, its name and its keys; the others are as if it had never been."""

import json

import pytest

from quorum import erasure
from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import event
from tests.end_to_end.leaks import leaks, places
from tests.end_to_end.test_nightly import relations

TENANT = "globex-002"


@pytest.fixture(scope="module")
def workspace(simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A night after which a file of its own landed for the tenant, and one that nothing takes."""
    workspace = worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("tenant") / "workspace")
    folder = workspace.landing / "quorum" / f"tenant={TENANT}"
    worlds.land(workspace, f"{folder.name}/own.jsonl", [event("", "u", "e", worlds.noon(worlds.LAST_DAY))])
    (folder / "notes.txt").write_text(f"of {TENANT}")
    assert worlds.quorum(workspace, "erase", f"--tenant={TENANT}").exit_code == 4, "the registry still lists it"
    worlds.unregister(workspace, TENANT)
    return workspace


def test_a_tenant_is_gone_and_the_others_stay(simulated_night: Night, workspace: Workspace) -> None:
    expected = relations(simulated_night.workspace)
    keys = Keyring.open(workspace.keyring).tenants()[TENANT]
    published = {path.name for path in (workspace.published / "current" / "tenants").iterdir()}
    assert keys.tenant_key in published
    erased = worlds.quorum(workspace, "erase", "--json", f"--tenant={TENANT}", f"--as-of={worlds.LAST_DAY}")
    assert erased.exit_code == 0, erased.output
    receipt = json.loads(erased.stdout)
    assert receipt["tenant_key"] == keys.tenant_key
    assert receipt["rows_found"]["events"] > 0

    assert not (workspace.landing / "quorum" / f"tenant={TENANT}").exists()
    # one row of the simulator's names no tenant, and an account of this one: nobody can say whose it is
    as_value = [f'"{TENANT}"', f"tenant={TENANT}"]
    for part in ("landing", "warehouse", "restricted"):
        assert not leaks(as_value, places(workspace.root / part))
    assert not leaks([TENANT], places(workspace.warehouse))
    for table, column in (
        ("gov_properties", "tenant_id"),
        ("int_quarantine", "tenant_id"),
        ("landing_files", "path"),
    ):
        query = f"from {table} where contains({column}, ?)"
        assert worlds.fetch(workspace, "restricted", query, [TENANT]) == []
    left = {leak.part for leak in leaks([keys.tenant_key], places(workspace.warehouse))}
    assert left <= {"key_epochs", "its bytes"}, "that its keys are no more is all that is kept"
    assert TENANT not in Keyring.open(workspace.keyring).tenants()

    for by_tenant in expected.values():
        del by_tenant[TENANT]
    assert relations(workspace) == expected

    # what still comes of it is known for what it is, though nobody is listed by its name
    worlds.land(workspace, f"tenant={TENANT}/late.jsonl", [event("", "u", "f", worlds.noon(worlds.LAST_DAY))])
    report = worlds.run(workspace)
    assert relations(workspace) == expected
    assert report.forgotten is not None
    assert report.forgotten.deleted_files == 1
    assert {path.name for path in (workspace.published / "current" / "tenants").iterdir()} == published - {
        keys.tenant_key
    }
    with worlds.untested():
        again = erasure.erase(workspace, worlds.LAST_DAY, erasure.Request(TENANT), worlds.silent)
    assert again.rows == {}
