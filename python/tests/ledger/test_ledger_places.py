"""A ledger outside the workspace: missing, older, another, or shared and copied with the workspace."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from quorum import anchors
from quorum.errors import Refused
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.ledger.charges import COST, YEARLY, week
from tests.postgres import Server
from tests.test_anchors import night

Place = Callable[[str], str]


@pytest.fixture
def workspace(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("QUORUM_LEDGER", url)
    workspace = Workspace(tmp_path / "workspace")
    for folder in ("restricted", "published", "landing"):
        (workspace.root / folder).mkdir(parents=True)
    return workspace


@pytest.fixture
def lived_in(workspace: Workspace) -> Workspace:
    anchors.create_ledger(workspace)
    night(workspace, 1)
    return workspace


def copy_ledger(url: str, copy: str, server: Server | None) -> str:
    """Copy a whole ledger, as a backup does; return where it is."""
    parsed = sa.make_url(url)
    if server is None:
        target = Path(str(parsed.database)).with_name(copy)
        shutil.copy2(str(parsed.database), target)
        return f"sqlite:///{target}"
    server.execute(f"drop database if exists {copy}")
    server.execute(f"create database {copy} template {parsed.database}")
    return server.url(copy)


@pytest.fixture
def copied(url: str, request: pytest.FixtureRequest) -> Place:
    server = request.getfixturevalue("server") if url.startswith("postgresql") else None
    return lambda copy: copy_ledger(url, copy, server)


class TestMakingOne:
    def test_a_run_makes_none_where_it_was_told_that_one_is(self, workspace: Workspace, url: str) -> None:
        with pytest.raises(Refused, match=r"^there is no ledger at .*`quorum ledger --create` makes it"):
            anchors.open_ledger(workspace)
        with pytest.raises(Refused, match="there is no ledger"):
            Ledger.open(url)

    def test_it_is_made_once_and_on_purpose(self, workspace: Workspace) -> None:
        assert "Deployment" in worlds.quorum(workspace, "ledger", "--create").stdout
        again = worlds.quorum(workspace, "ledger", "--create")
        assert (again.exit_code, again.stderr.startswith("quorum: there is a ledger at ")) == (4, True)
        assert anchors.open_ledger(workspace).length == 1

    def test_it_is_not_made_anew(self, lived_in: Workspace, other_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QUORUM_LEDGER", other_url)
        result = worlds.quorum(lived_in, "ledger", "--create")
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
        assert "this workspace had a ledger" in result.stderr

    def test_the_one_inside_is_made_by_a_run(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("QUORUM_LEDGER")
        assert worlds.quorum(workspace, "ledger", "--create").exit_code == 2
        (workspace.root / "ledger").mkdir()
        assert anchors.open_ledger(workspace).length == 1
        assert anchors.open_ledger(workspace).length == 1


@pytest.mark.parametrize("call", [anchors.open_ledger, anchors.known_ledger])
class TestNotTheOneItWas:
    def test_missing(
        self, lived_in: Workspace, other_url: str, monkeypatch: pytest.MonkeyPatch, call: Callable[[Workspace], Ledger]
    ) -> None:
        monkeypatch.setenv("QUORUM_LEDGER", other_url)
        with pytest.raises(Refused, match="there is no ledger"):
            call(lived_in)

    def test_another(
        self, lived_in: Workspace, other_url: str, monkeypatch: pytest.MonkeyPatch, call: Callable[[Workspace], Ledger]
    ) -> None:
        other = Ledger.create(other_url)
        for number in range(9):
            other.reserve(week(number), COST, YEARLY)
        monkeypatch.setenv("QUORUM_LEDGER", other_url)
        with pytest.raises(Refused, match=r"^ledger: entry \d+ is not the one that .* knows"):
            call(lived_in)

    def test_older(
        self, lived_in: Workspace, copied: Place, monkeypatch: pytest.MonkeyPatch, call: Callable[[Workspace], Ledger]
    ) -> None:
        older = copied("older")
        night(lived_in, 2)
        call(lived_in)
        monkeypatch.setenv("QUORUM_LEDGER", older)
        with pytest.raises(Refused, match=r"^ledger: cut short, or an older copy was put back"):
            call(lived_in)


class TestTwoOfThem:
    @pytest.fixture
    def clone(self, lived_in: Workspace, tmp_path: Path) -> Workspace:
        shutil.copytree(lived_in.root, tmp_path / "clone")
        return Workspace(tmp_path / "clone")

    def test_of_two_workspaces_over_one_ledger_the_first_goes_on(self, lived_in: Workspace, clone: Workspace) -> None:
        night(clone, 2)
        for _ in range(2):
            with pytest.raises(Refused, match=r"^audit\.jsonl: .*the ledger knows"):
                anchors.open_ledger(lived_in)
        anchors.open_ledger(clone)
        assert len(anchors.known_ledger(clone).charges()) == 2, "nothing was drawn or paid for twice"

    def test_a_fresh_workspace_does_not_take_over_the_ledger_of_another(
        self, lived_in: Workspace, tmp_path: Path
    ) -> None:
        fresh = Workspace(tmp_path / "fresh")
        for folder in ("restricted", "published", "landing"):
            (fresh.root / folder).mkdir(parents=True)
        with pytest.raises(Refused, match=r"heads\.json is missing: put the newest back$"):
            anchors.open_ledger(fresh)

    def test_a_ledger_copied_with_its_workspace_tells_only_who_wrote_a_head_down(
        self, lived_in: Workspace, clone: Workspace, copied: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each is sound by itself, so both draw noise: this is what the operator has to keep from happening."""
        copy = copied("older")
        written_down = night(lived_in, 2)
        monkeypatch.setenv("QUORUM_LEDGER", copy)
        night(clone, 2)
        anchors.open_ledger(clone)
        refused = worlds.quorum(clone, "verify", "--head", written_down)
        assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
        assert "is not the one that the head that was written down knows" in refused.stderr
