"""What readers have stays whole: through what fails, what is damaged, and what an operator does to the folders."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from quorum import gate, nightly, release_folders, warehouse
from quorum.audit import AuditLog
from quorum.errors import QuorumError, Refused
from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

BAD, GOOD = "acme-001", "globex-002"
NIGHT = ("run", "--as-of", str(worlds.LAST_DAY))


@pytest.fixture
def workspace(simulated_night: Night, tmp_path: Path) -> Workspace:
    return worlds.copied(simulated_night.workspace, tmp_path / "workspace")


def bundle(workspace: Workspace, tenant: str) -> Path:
    """Return the folder of a tenant that readers see; it need not be there."""
    here = release_folders.current(workspace)
    assert here
    return here / "tenants" / Keyring.open(workspace.keyring).of(tenant).tenant_key


def alter(workspace: Workspace, tenant: str, change: str) -> None:
    key = Keyring.open(workspace.keyring).of(tenant).tenant_key
    with warehouse.opened(workspace, "tenant") as connection:
        connection.execute(f"update mart_tenant_daily set {change} where tenant_key = '{key}'")


def publish(workspace: Workspace, *, gated: bool = False) -> nightly.Report:
    """Do the last part of a night, over rows that are others than before, with the gate or without."""
    alter(workspace, GOOD, "events = events + 1")
    with nullcontext() if gated else worlds.untested(), worlds.only_publishing():
        return nightly.run(workspace, worlds.LAST_DAY, worlds.silent)


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


class TestFailures:
    def test_what_readers_were_moved_to_stays(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        """The disk fails when the step is to be made to last, and the step is made."""
        before = release_folders.current(workspace)
        sync = release_folders.sync

        def fails(path: Path) -> None:
            if path == workspace.published:
                raise QuorumError("cannot write published to disk")
            sync(path)

        with monkeypatch.context() as broken:
            broken.setattr(release_folders, "sync", fails)
            with pytest.raises(QuorumError, match="cannot write"):
                publish(workspace)
        here = release_folders.current(workspace)
        assert here
        assert here != before
        assert release_folders.verify_all(workspace) > 0
        publish(workspace)
        logged = [entry.facts["release"] for entry in AuditLog(workspace).of("release_published")]
        assert logged[-2] == here.name, "the log has it too, though another came since"
        assert worlds.quorum(workspace, "verify").exit_code == 0

    def test_without_a_release_to_see_none_is_swept(self, workspace: Workspace) -> None:
        [release] = (workspace.published / "releases").iterdir()
        (workspace.published / "current").unlink()
        release_folders.sweep(workspace)
        assert release.is_dir()
        assert release_folders.operator_manifest(workspace, release.name)

    def test_a_folder_for_a_link_is_refused_in_a_line(self, workspace: Workspace) -> None:
        link = workspace.published / "current"
        release = link.resolve()
        link.unlink()
        shutil.copytree(release, link)
        refused = worlds.quorum(workspace, *NIGHT)
        assert refused.exit_code == Refused.exit_code
        assert refused.stderr.splitlines()[-1].startswith(f"quorum: {link} is no link to one of the releases")
        assert release.is_dir()


@pytest.fixture(scope="module")
def published_twice(simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("twice") / "workspace")
    assert publish(workspace).published
    assert worlds.quorum(workspace, "verify").exit_code == 0
    return workspace


class TestDamage:
    def test_it_is_not_carried_into_the_next_release(self, workspace: Workspace) -> None:
        """Nor has it a part in what is made anew."""
        release = (workspace.published / "current").resolve()
        page = release / "cross_tenant" / "index.html"
        files = [
            page,
            page.with_name("benchmarks.duckdb"),
            bundle(workspace, BAD) / "tenant.duckdb",
            bundle(workspace, "initech-003") / "index.html",
            bundle(workspace, "umbra-004") / "manifest.json",
        ]
        whole = page.read_bytes()
        for file in files:
            flip_a_bit(file)
        damaged = [file.read_bytes() for file in files]
        assert publish(workspace).published
        here = (workspace.published / "current").resolve()
        anew = [(here / file.relative_to(release)).read_bytes() for file in files]
        assert not [file for file, was, now in zip(files, damaged, anew, strict=True) if was == now]
        assert anew[0] == whole
        assert release_folders.verify(workspace) > 0

    def test_a_bundle_that_is_to_stay_stops_the_release(self, workspace: Workspace) -> None:
        flip_a_bit(bundle(workspace, BAD) / "tenant.duckdb")
        alter(workspace, BAD, "sessions = -1")
        with pytest.raises(Refused, match="was changed after it was published, and is to stay"):
            publish(workspace, gated=True)

    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            (lambda published: (published / "current").unlink(), "published/current is not the release"),
            (lambda published: (published / "current/tenants/empty").mkdir(), "tenants/empty was not published"),
            (lambda published: (published / "current/more").symlink_to("/"), "more was not published"),
            (
                lambda published: flip_a_bit(
                    next(file for file in _older(published).rglob("*.html") if file.stat().st_nlink == 1)
                ),
                "was changed after it was published",
            ),
            (lambda published: _go_back(published), "published/current is not the release"),
        ],
        ids=["no link", "a folder more", "a link more", "an older release", "another release"],
    )
    def test_verify_sees_it(
        self, published_twice: Workspace, tmp_path: Path, harm: Callable[[Path], None], said: str
    ) -> None:
        workspace = worlds.copied(published_twice, tmp_path / "workspace")
        harm(workspace.published)
        found = worlds.quorum(workspace, "verify")
        assert found.exit_code == Refused.exit_code
        assert said in found.stderr
        assert len(found.stderr.splitlines()) == 1


def _older(published: Path) -> Path:
    here = (published / "current").resolve()
    [older] = [folder for folder in (published / "releases").iterdir() if folder != here]
    return older


def _go_back(published: Path) -> None:
    older = _older(published)
    (published / "current").unlink()
    (published / "current").symlink_to(Path("releases") / older.name)


class TestWithheld:
    """The last bundle of a tenant whose new one fails stays, but not where it holds what is to be gone."""

    def test_it_stays(self, workspace: Workspace) -> None:
        alter(workspace, BAD, "sessions = -1")
        before = worlds.file_hashes(bundle(workspace, BAD))
        report = publish(workspace, gated=True)
        assert report.withheld[BAD].count(gate.STAYS) == 1
        assert worlds.file_hashes(bundle(workspace, BAD)) == before

    def test_who_was_erased_does_not(self, workspace: Workspace) -> None:
        key = Keyring.open(workspace.keyring).of(BAD).tenant_key
        AuditLog(workspace).append("erasure", tenant=key, commitments=[], rows={})
        alter(workspace, BAD, "sessions = -1")
        report = publish(workspace, gated=True)
        assert report.withheld[BAD].count(gate.GOES) == 1
        assert not bundle(workspace, BAD).exists()
        assert bundle(workspace, GOOD).exists()

    def test_what_a_former_key_opens_does_not(self, workspace: Workspace) -> None:
        Keyring.open(workspace.keyring).rotate([BAD])
        alter(workspace, BAD, "sessions = -1")
        report = publish(workspace, gated=True)
        assert report.withheld[BAD].count(gate.GOES) == 1
        assert not bundle(workspace, BAD).exists()
