"""Readers go back to an earlier release, whole, and the next night goes on from there; no clock takes them back."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from quorum import release_folders, report, settings
from quorum.audit import AuditLog
from quorum.errors import BadInput, Refused
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

TENANT = "acme-001"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def two_releases(simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("releases") / "workspace")
    worlds.land(workspace, "later.jsonl", [event(workspace)])
    assert worlds.run(workspace, worlds.LAST_DAY + DAY).published
    return workspace


def event(workspace: Workspace) -> dict[str, str]:
    at = worlds.noon(worlds.LAST_DAY + DAY).isoformat()
    named = {"tenant_id": TENANT, "event_id": "of the next day", "event_name": "page_view", "user_id": "somebody"}
    return named | {"occurred_at": at, "received_at": at}


def current(workspace: Workspace) -> str:
    return (workspace.published / "current").resolve().name


def test_there_and_back(two_releases: Workspace, tmp_path: Path) -> None:
    workspace = worlds.copied(two_releases, tmp_path / "workspace")
    second = current(workspace)
    published, answers = rows_published(workspace), answered(workspace)

    result = worlds.quorum(workspace, "rollback")

    first = current(workspace)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Published {first} again, instead of {second}" in result.stdout
    assert AuditLog(workspace).of("rolled_back")[-1].facts == {"release": first, "instead_of": second}
    assert release_folders.verify(workspace) > 0
    assert worlds.quorum(workspace, "verify").exit_code == 0
    assert worlds.quorum(workspace, "rollback").exit_code == BadInput.exit_code, "there is none before the first"

    hence = time.time() + 400 * 86400
    for path in workspace.root.rglob("*"):  # and by a clock that was set back, each file is from a time to come
        os.utime(path, (hence, hence), follow_symlinks=False)
    night = worlds.run(workspace, worlds.LAST_DAY)  # an earlier day takes no row away that is there
    [warning] = report.of_run(workspace, night)["warnings"]
    assert warning.startswith(f"as of {worlds.LAST_DAY}, and the run before was as of {worlds.LAST_DAY + DAY}")
    assert night.published == current(workspace) != first
    assert night.published != second
    assert rows_published(workspace) == published
    assert answered(workspace) == answers
    kept = {folder.name for folder in (workspace.published / "releases").iterdir()}
    assert kept == {first, night.published}, "the one that was left is swept"
    assert worlds.quorum(workspace, "verify").exit_code == 0


def test_what_is_not_whole_is_not_gone_back_to(two_releases: Workspace, tmp_path: Path) -> None:
    workspace = worlds.copied(two_releases, tmp_path / "workspace")
    second = current(workspace)
    [first] = [folder for folder in (workspace.published / "releases").iterdir() if folder.name != second]
    file = first / "cross_tenant" / "manifest.json"
    file.write_text(file.read_text() + " ")
    result = worlds.quorum(workspace, "rollback", "--to", first.name)
    assert result.exit_code == Refused.exit_code
    assert "cross_tenant/manifest.json was changed after it was published" in result.stderr
    assert current(workspace) == second


@pytest.mark.parametrize("release", ["../releases", "0" * 16, " "])
def test_nor_is_what_is_not_kept(two_releases: Workspace, release: str) -> None:
    second = current(two_releases)
    assert worlds.quorum(two_releases, "rollback", "--to", release).exit_code == BadInput.exit_code
    assert worlds.quorum(two_releases, "rollback", "--to", second).exit_code == BadInput.exit_code
    assert current(two_releases) == second


def test_where_no_run_was_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    result = worlds.quorum(Workspace(tmp_path), "rollback")
    assert (result.exit_code, result.stderr.count("\n")) == (BadInput.exit_code, 1)


def test_nobody_who_was_forgotten_comes_back(two_releases: Workspace, tmp_path: Path) -> None:
    workspace = worlds.copied(two_releases, tmp_path / "workspace")
    second = current(workspace)
    erased = worlds.quorum(workspace, "erase", "--tenant", TENANT, "--user", "somebody")
    assert erased.exit_code == 0, erased.stderr
    result = worlds.quorum(workspace, "rollback")
    assert result.exit_code == Refused.exit_code
    assert "holds what was erased since" in result.stderr
    assert current(workspace) == second


@pytest.mark.parametrize(
    "command",
    [
        ("run",),
        ("backfill", f"--from={worlds.LAST_DAY}", f"--to={worlds.LAST_DAY}"),
        ("erase", f"--tenant={TENANT}", "--user=somebody"),
    ],
    ids=lambda command: command[0],
)
def test_nothing_is_done_by_a_clock_that_was_set_back(
    two_releases: Workspace, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "last_closed_day", lambda: worlds.LAST_DAY)
    before = worlds.file_hashes(two_releases.root)
    result = worlds.quorum(two_releases, *command)
    assert (result.exit_code, result.stdout) == (BadInput.exit_code, "")
    assert result.stderr == (
        f"quorum: the clock says that {worlds.LAST_DAY} was the last day, and the last run was as of "
        f"{worlds.LAST_DAY + DAY}: set it right, or say --as-of\n"
    )
    assert worlds.file_hashes(two_releases.root) == before


def rows_published(workspace: Workspace) -> dict[str, object]:
    """Return the digests of all that readers get but pages, by folder."""
    folder = workspace.published / "current"
    return {
        str(file.relative_to(folder)): release_folders.manifest(file.parent)["relations"]
        for file in folder.rglob("*.json")
    }


def answered(workspace: Workspace) -> list[object]:
    ledger = Ledger.open(workspace.ledger_url)
    return [ledger.charges(), ledger.answers("feature_usage")]
