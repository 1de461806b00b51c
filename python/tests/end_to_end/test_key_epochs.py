"""Keys are rotated between nights and amid killed ones, and nobody can tell but by the names of tokens."""

import hmac
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from quorum import nightly, rekey, release_folders
from quorum.errors import QuorumError, Refused
from quorum.hash_chain import ChainedLog
from quorum.keyring import Keyring, TenantKeys, pads
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.canaries import bundle_keys
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import History, event
from tests.end_to_end.leaks import Place, leaks, places
from tests.end_to_end.published.releases import opened
from tests.end_to_end.test_nightly import endings, relations

QUOTA = 16  # rows of a tenant and day: the largest of a batch wait for another night
TOKEN = re.compile(r"\b[0-9a-f]{32}\b")

# Finishes a re-keying, again and again, each time in a fork that dies where it would call one function.
DIES_AT = """
import os, signal, sys
from pathlib import Path
from unittest import mock
from quorum import rekey
from quorum.keyring import Keyring
from quorum.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
for point in sys.argv[2:]:
    pid = os.fork()
    if not pid:
        try:
            with mock.patch(point, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
                rekey.finish(workspace, Keyring.open(workspace.keyring))
        finally:
            os._exit(1)
    print(point, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
# In the order of a re-keying, so that each gets further than the one before it.
POINTS = (
    "quorum.rekey._record_changes",  # the keyring is rotated, and nothing has followed
    "quorum.rekey._carry_events",  # what is to go is written down
    "quorum.rekey._carry",  # in a transaction
    "quorum.hash_chain.ChainedLog.append",  # the events have followed, the restricted plane has not
    "quorum.rekey._carry_the_rest",
    "quorum.rekey._note_shredded",  # all have
)
# All but what says which rows the last night built anew, and so names those that it took away.
LASTING = "not internal and not starts_with(table_name, 'int_affected_')"
MADE = "from int_events_redacted order by landing_file, landing_row"
EPOCHS = "select tenant_key, epoch from key_epochs order by all"


class Killed(Exception):
    pass


def build(workspace: Workspace, day: int, *, tested: bool = False) -> nightly.Report:
    return worlds.build(workspace, worlds.LAST_DAY + timedelta(days=day), tested=tested)


@contextmanager
def killed_at(point: str) -> Iterator[None]:
    def die(*_: object) -> None:
        raise Killed

    with mock.patch(point, die), pytest.raises(Killed):
        yield


def land(tenants: list[History], workspace: Workspace, batch: int) -> None:
    worlds.land(workspace, f"{batch}.jsonl", (row for tenant in tenants for row in tenant.rows(batch)))


@dataclass(frozen=True)
class Rotated:
    """A workspace after nights with rotations; what its rings were, and the tokens of earlier epochs."""

    workspace: Workspace
    rows: dict[str, int]
    deferred: int
    earlier: set[str]


@pytest.fixture(scope="module")
def rotated(tenants: list[History], in_batches: Night, tmp_path_factory: pytest.TempPathFactory) -> Rotated:
    """The histories, a batch a night, with quotas, rotations and kills."""
    workspace = worlds.sibling(in_batches.workspace, tmp_path_factory.mktemp("rotated"), keep=lambda _file: False)
    quotas = [version | {"daily_event_quota": str(QUOTA)} for each in tenants for version in each.registered()]
    worlds.registered(workspace.root, quotas)
    workspace.prepare()
    every = [tenant.tenant for tenant in tenants]
    earlier: set[str] = set()

    def rotate(chosen: list[str]) -> None:
        earlier.update(tokens(workspace))
        Keyring.open(workspace.keyring).rotate(chosen)

    land(tenants, workspace, 0)
    rotate(every[::5])  # before there is anything
    build(workspace, 0)
    [(deferred,)] = worlds.fetch(workspace, "restricted", "select count(*) from int_deferred")

    land(tenants, workspace, 1)
    rotate(every[::2])  # while rows are deferred
    dying = [sys.executable, "-c", DIES_AT, str(workspace.root), *POINTS]
    ended = subprocess.run(dying, capture_output=True, text=True, check=True).stdout
    assert ended.splitlines() == [f"{point} {-signal.SIGKILL}" for point in POINTS]
    with killed_at("quorum.landing_queue.commit"):
        build(workspace, 1)
    assert worlds.fetch(workspace, "restricted", "select count(*) from landing_batch") == [(1,)]

    rotate(every)  # while a batch is in work
    with killed_at("quorum.landing_queue.settle"):
        build(workspace, 1)

    land(tenants, workspace, 2)
    for chosen in (every[::3], every):  # while what changed is not forgotten
        rotate(chosen)
        rekey.finish(workspace, Keyring.open(workspace.keyring))
    report = build(workspace, 2, tested=True)
    earlier -= {keys.tenant_key for keys in Keyring.open(workspace.keyring).tenants().values()}
    return Rotated(workspace, report.rows, deferred, earlier)


def tokens(workspace: Workspace) -> set[str]:
    """Return whatever looks like a token in the tables of the restricted and the tenant plane."""
    found: set[str] = set()
    for plane in ("restricted", "tenant"):
        if workspace.plane(plane).exists():
            names = worlds.fetch(workspace, plane, f"select table_name from duckdb_tables() where {LASTING}")
            for (name,) in names:
                rows = worlds.fetch(workspace, plane, f"select columns(*)::varchar from {name}")
                found.update(TOKEN.findall("\n".join("\t".join(map(str, row)) for row in rows)))
    return found


def contents(bundle: Path, key: bytes) -> dict[str, list[Any]]:
    """Return the rows of all that a bundle holds."""
    with opened(bundle, key) as connection:
        names = [name for (name,) in connection.sql("select table_name from duckdb_tables()").fetchall()]
        return {name: connection.sql(f"from {name} order by all").fetchall() for name in names}


def carried(keys: TenantKeys, value: Any) -> Any:
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        return value
    for key in keys.pseudonym_keys[1:]:
        value = hmac.digest(key, value.encode(), "sha256").hex()[:32]
    return value


class TestRotation:
    def test_a_user_stays_one_user(self, rotated: Rotated, in_batches: Night) -> None:
        """All relations are those of nights without a rotation, each token carried on by the tenant's own keys."""
        keyring = Keyring.open(rotated.workspace.keyring)
        assert {keys.epoch for keys in keyring.tenants().values()} == {3, 4, 5, 6}
        found, wanted = relations(rotated.workspace), relations(in_batches.workspace)
        for relation, by_tenant in wanted.items():
            for tenant_id, rows in by_tenant.items():
                keys = keyring.of(tenant_id)
                expected = [tuple(carried(keys, value) for value in row) for row in rows]
                assert sorted(found[relation][tenant_id], key=str) == sorted(expected, key=str), (relation, tenant_id)

    def test_rows_end_where_they_would_have(self, rotated: Rotated, in_batches: Night) -> None:
        assert rotated.deferred, "rows were deferred over a rotation"
        assert rotated.rows == in_batches.report.rows
        assert endings(rotated.workspace) == endings(in_batches.workspace)

    def test_no_token_of_an_earlier_epoch_is_left(self, rotated: Rotated) -> None:
        assert len(rotated.earlier) > 500
        assert tokens(rotated.workspace).isdisjoint(rotated.earlier)

    def test_each_epoch_is_written_down(self, rotated: Rotated) -> None:
        workspace = rotated.workspace
        epochs = sorted((keys.tenant_key, keys.epoch) for keys in Keyring.open(workspace.keyring).tenants().values())
        assert worlds.fetch(workspace, "restricted", EPOCHS) == worlds.fetch(workspace, "tenant", EPOCHS) == epochs
        log = ChainedLog(workspace.audit_log)
        log.verify()
        logged = [entry.facts["epochs"] for entry in log.records() if entry.kind == "keys_rotated"]
        for tenant_key, epoch in epochs:
            assert max(each.get(tenant_key, 0) for each in logged) == epoch

    def test_an_older_keyring_is_noticed(self, rotated: Rotated, in_batches: Night) -> None:
        with pytest.raises(Refused, match="older keyring"):
            rekey.finish(rotated.workspace, Keyring.open(in_batches.workspace.keyring))

    @pytest.mark.parametrize("plane", ["restricted", "tenant"])
    def test_a_build_over_two_epochs_fails(
        self, plane: str, rotated: Rotated, tenants: list[History], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The planted bug: one of the databases is left behind, and a batch or the tenant plane would go on."""
        workspace = worlds.copied(rotated.workspace, tmp_path / "workspace")
        first = next(iter(Keyring.open(workspace.keyring).tenants()))
        Keyring.open(workspace.keyring).rotate([first])
        skipped = "_carry_the_rest" if plane == "restricted" else "_carry_events"
        monkeypatch.setattr(rekey, skipped, lambda *_: None)
        before = worlds.fetch(workspace, "restricted", MADE)
        if plane == "restricted":
            worlds.land(workspace, "3.jsonl", [*tenants[0].rows(0), *tenants[1].rows(0)])
        with pytest.raises(QuorumError, match="stored_tokens_are_of_the_present_epoch"):
            build(workspace, 4, tested=True)
        if plane == "restricted":
            assert worlds.fetch(workspace, "restricted", MADE) == before, "no token was made"


class TestKeysCommand:
    @pytest.fixture(scope="class")
    def workspace(self, simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
        return worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("keys") / "workspace")

    @pytest.fixture(scope="class")
    def before(self, workspace: Workspace) -> dict[str, TenantKeys]:
        return dict(Keyring.open(workspace.keyring).tenants())

    @pytest.fixture(scope="class")
    def release(self, workspace: Workspace, before: dict[str, TenantKeys]) -> Path:
        """Rotate one tenant, shred another that then sends an event, and do a night."""
        for command in (("rotate", "--tenant=acme-001"), ("shred", "--tenant=umbra-004", "--yes")):
            ended = worlds.quorum(workspace, "keys", *command)
            assert ended.exit_code == 0, ended.output
        handed = worlds.quorum(workspace, "keys", "--tenant=acme-001")
        assert "no bundle that is published opens with it" in handed.output
        worlds.land(workspace, "late.jsonl", [event("umbra-004", "ada", "late", worlds.noon(worlds.LAST_DAY))])
        assert worlds.run(workspace).published
        release = release_folders.current(workspace)
        assert release
        return release

    def test_the_access_log_says_who_was_let_in(
        self, workspace: Workspace, release: Path, before: dict[str, TenantKeys]
    ) -> None:
        of_one = worlds.quorum(workspace, "access", "--tenant=acme-001", "--json")
        told = [row["what"] for row in json.loads(of_one.stdout)["access"]]
        assert told[:3] == [
            "has a key",
            "has another key, of epoch 2",
            f"its key was printed on {datetime.now(UTC).date()}",
        ]
        of_all = worlds.quorum(workspace, "access").stdout
        gone = before["umbra-004"].tenant_key
        assert f"{gone}  its key of epoch 1 is destroyed" in of_all
        assert re.search(r"globex-002 +has a key\n", of_all)

    def test_a_bundle_has_a_new_key_and_the_same_rows(
        self, workspace: Workspace, release: Path, before: dict[str, TenantKeys], simulated_night: Night
    ) -> None:
        keys = Keyring.open(workspace.keyring).of("acme-001")
        assert keys.bundle_key != before["acme-001"].bundle_key
        folder = f"tenants/{keys.tenant_key}"
        last = release_folders.current(simulated_night.workspace)
        assert last
        then, now = (
            contents(each / folder / "tenant.duckdb", key)
            for each, key in ((last, before["acme-001"].bundle_key), (release, keys.bundle_key))
        )
        # the accounts of a tenant stand in that mart, by pseudonyms that follow the key
        accounts = [found.pop("mart_tenant_accounts") for found in (then, now)]
        assert then == now
        assert len(accounts[0]) == len(accounts[1]) > 0
        assert accounts[0] != accounts[1]
        assert str(release) in worlds.quorum(workspace, "keys", "--tenant=acme-001").output.replace(
            str(workspace.published / "current"), str(release)
        )
        found = list(places(release / folder, {keys.tenant_key: bundle_keys(workspace)[keys.tenant_key]}))
        assert any(place.part == "mart_tenant_daily" for place in found)
        other = before["globex-002"].tenant_key
        assert (last / "tenants" / other / "manifest.json").read_bytes() == (
            release / "tenants" / other / "manifest.json"
        ).read_bytes(), "who was not rotated keeps his file"

    def test_a_shredded_tenant_has_no_bundle(
        self, workspace: Workspace, release: Path, before: dict[str, TenantKeys]
    ) -> None:
        assert not (release / "tenants" / before["umbra-004"].tenant_key).exists()
        ring = Keyring.open(workspace.keyring)
        new = ring.of("umbra-004")
        assert new.tenant_key != before["umbra-004"].tenant_key, "as the registry still lists it"
        begun = worlds.rows_by_tenant(workspace, "select tenant_key, count(*) from fct_events group by all")
        assert begun["umbra-004"] == [(1,)]
        events = [e for e in ChainedLog(workspace.audit_log).records() if e.kind in ("keys_rotated", "keys_shredded")]
        assert [(entry.kind, dict(entry.facts)) for entry in events] == [
            ("keys_rotated", {"epochs": {before["acme-001"].tenant_key: 2}}),
            ("keys_shredded", {"tenant_key": before["umbra-004"].tenant_key, "epoch": 1}),
        ]
        older = Keyring(workspace.keyring, ring._ring.__class__(before))
        with pytest.raises(Refused, match="older keyring"):
            rekey.finish(workspace, older)

    def test_no_key_is_in_any_file_but_the_keyring(
        self, workspace: Workspace, release: Path, before: dict[str, TenantKeys]
    ) -> None:
        ring = Keyring.open(workspace.keyring)
        found = [*before.values(), *ring.tenants().values()]
        secrets = {ring.erasure_key(), *pads(ring.erasure_key())}
        for keys in found:
            secrets |= {keys.bundle_key, *keys.pseudonym_keys}
            secrets |= {pad for key in keys.pseudonym_keys for pad in pads(key)}
        assert len(secrets) == 3 + 6 * 4
        (workspace.warehouse / "planted").write_bytes(os.urandom(7) + min(secrets))
        # the bundles of the last release are under keys that are no more: their bytes must do
        readable = [release, *(part for part in workspace.root.iterdir() if part.name not in ("keyring", "published"))]
        found_in = [place for folder in readable for place in places(folder, bundle_keys(workspace))]
        found_in += [Place(path, "", path.read_bytes()) for path in workspace.published.rglob("*") if path.is_file()]
        assert {leak.file.name for leak in leaks(secrets, found_in)} == {"planted"}
        (workspace.warehouse / "planted").unlink()

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("rotate",), "one of"),
            (("rotate", "--all", "--master"), "one of"),
            (("rotate", "--master"), "QUORUM_NEW_MASTER_KEY"),
            (("rotate", "--tenant", "ada@example.com"), "no keys"),
            (("shred", "--tenant", "acme-001"), "--yes"),
            (("shred", "--tenant", "ada@example.com", "--yes"), "no keys"),
            (("shred", "--all", "--yes"), "--tenant"),
            (("show", "--all"), "nothing else"),
        ],
    )
    def test_what_it_cannot_do_it_says_in_a_line(
        self, arguments: tuple[str, ...], word: str, simulated_night: Night
    ) -> None:
        workspace = simulated_night.workspace
        before = worlds.file_hashes(workspace.keyring)
        ended = worlds.quorum(workspace, "keys", *arguments)
        assert ended.exit_code == 2
        assert word in ended.output
        assert "ada" not in ended.output
        assert len(ended.output.splitlines()) == 1
        assert worlds.file_hashes(workspace.keyring) == before
