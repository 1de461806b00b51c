"""Readers go from one whole release to the next, whatever happens to the run that moves them."""

import multiprocessing
import os
import signal
import threading
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest

from quorum import mirror as sink
from quorum import mirror_fill, mirror_grants, mirror_views, postgres
from quorum.audit import AuditLog
from quorum.errors import QuorumError
from quorum.mirror_state import KEPT_RELEASES
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.mirror.mirrors import FOR_ALL, Mirror, attached, file_of, key_of, point_to, republished

# forks of a process that has imported all
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__])

SWAPS = 10


def numbered(mirror: Mirror, number: int) -> str:
    """Publish a release whose every row of these marts says its number."""
    tenant = [
        f"update held.mart_tenant_daily set events = {number}",
        f"update held.mart_tenant_skew set events = {number}",
    ]
    benchmarks = [f"update held.mart_benchmark_catalog set policy_version = '{number}'"]
    return republished(mirror.workspace, {**dict.fromkeys(mirror.tenants, tenant), FOR_ALL: benchmarks})


class Reader(threading.Thread):
    """Asks again and again, in one way, for all that a login sees, and keeps every answer."""

    def __init__(self, mirror: Mirror, way: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.way, self.stop = way, stop
        self.answers: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        key = mirror.tenants[0]
        self.views = [f"quorum_t_{key}.mart_tenant_daily", f"quorum_t_{key}.mart_tenant_skew"]
        self.connection = mirror.of_tenant(key)
        # both roles in one login, so that one statement can look at both planes
        mirror.admin(f"grant quorum_benchmarks to {self.connection.info.user}")

    def run(self) -> None:
        try:
            with closing(self.connection) as connection:
                if self.way == "prepared":
                    connection.prepare_threshold = 0
                while not self.stop.is_set():
                    self.answers += getattr(self, self.way)(connection)
        except Exception as error:
            self.error = error

    def prepared(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return self.one_statement(connection)

    def one_statement(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        daily, skew = (f"(select array[min(events), max(events), count(*)] from {view})" for view in self.views)
        rest = "(select array[min(policy_version), max(policy_version)] from quorum.mart_benchmark_catalog)"
        [(one, two, three)] = connection.execute(f"select {daily}, {skew}, {rest}".encode()).fetchall()
        return [(*one[:2], *two[:2], *map(int, three), one[2], two[2])]

    def one_transaction(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return self._in_turn(connection, "begin isolation level read committed")

    def one_snapshot(self, connection: psycopg.Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Its snapshot is older than what it looks at, if a swap comes between."""
        return self._in_turn(connection, "begin isolation level repeatable read; select pg_sleep(0.1)")

    def _in_turn(self, connection: psycopg.Connection[tuple[Any, ...]], begin: str) -> list[tuple[Any, ...]]:
        connection.execute(begin.encode())
        found: list[Any] = []
        counts: list[int] = []
        for view in self.views:
            [(low, high, count)] = connection.execute(
                f"select min(events), max(events), count(*) from {view}".encode()
            ).fetchall()
            found += [low, high]
            counts.append(count)
        [(low, high)] = connection.execute(
            "select min(policy_version), max(policy_version) from quorum.mart_benchmark_catalog"
        ).fetchall()
        connection.execute("commit")
        return [(*found, int(low), int(high), *counts)]


def shown(mirror: Mirror) -> int:
    """Return the number that all who read see, which is one and the same."""
    with closing(mirror.of_tenant(mirror.tenants[0])) as connection:
        query = f"select distinct events from quorum_t_{mirror.tenants[0]}.mart_tenant_daily"
        [(number,)] = connection.execute(query.encode()).fetchall()
    assert shown_to_all(mirror) == number
    return int(number)


def shown_to_all(mirror: Mirror) -> int:
    """Return the number that readers of benchmarks see."""
    with closing(mirror.login("quorum_benchmarks")) as connection:
        query = "select distinct policy_version::int from quorum.mart_benchmark_catalog"
        [(number,)] = connection.execute(query).fetchall()
    return int(number)


def has_role(mirror: Mirror, tenant_key: str) -> bool:
    with closing(mirror.login("quorum_benchmarks")) as connection:
        query = "select from pg_roles where rolname like %s"
        return bool(connection.execute(query, [f"%{tenant_key}"]).fetchall())


def schemas(mirror: Mirror) -> set[str]:
    with closing(mirror.login("quorum_benchmarks")) as connection:
        found = connection.execute("select nspname from pg_namespace where nspname ~ '^quorum_r_'").fetchall()
    return {name for (name,) in found}


def expected(mirror: Mirror, *releases: str) -> set[str]:
    return {f"quorum_r_{release}{of}" for release in releases for of in ("", *(f"_{key}" for key in mirror.tenants))}


@pytest.fixture(scope="module")
def two(mirror: Mirror) -> tuple[str, str]:
    """Releases 1 and 2, both filled."""
    releases = []
    for number in (1, 2):
        releases.append(numbered(mirror, number))
        mirror.bring()
    return releases[0], releases[1]


def test_a_release_that_is_there_is_left_as_it_is(mirror: Mirror, two: tuple[str, str]) -> None:
    def objects() -> list[Any]:
        with closing(mirror.login("quorum_benchmarks")) as connection:
            query = (
                "select oid, xmin, relname from pg_class where relnamespace::regnamespace::text ~ '^quorum' order by 1"
            )
            return connection.execute(query).fetchall()

    before, entries = objects(), AuditLog(mirror.workspace).records()
    assert not mirror.bring()["moved"]
    assert (objects(), AuditLog(mirror.workspace).records()) == (before, entries)


def watched(mirror: Mirror, two: tuple[str, str], swaps: int, more: int | None = None) -> list[Reader]:
    """Return readers, each with a way of its own, that were moved to and fro, and then on."""
    stop = threading.Event()
    readers = [Reader(mirror, way, stop) for way in ("one_statement", "prepared", "one_transaction", "one_snapshot")]
    for reader in readers:
        reader.start()
    try:
        for swap in range(swaps):
            point_to(mirror.workspace, two[swap % 2])
            assert mirror.bring()["moved"]
        if more:
            numbered(mirror, more)  # to be filled, while they read
            assert mirror.bring()["moved"]
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    return readers


def mixed(told: list[tuple[Any, ...]]) -> bool:
    return any(len(set(answer[:-2])) > 1 for answer in told)


def test_no_reader_sees_half_a_release_or_none(mirror: Mirror, two: tuple[str, str]) -> None:
    held = mirror.published(mirror.tenants[0]).rows
    counts = (len(held["mart_tenant_daily"]), len(held["mart_tenant_skew"]))
    for reader in watched(mirror, two, SWAPS, more=3):
        assert reader.error is None, reader.way
        assert {answer[-2:] for answer in reader.answers} == {counts}, f"{reader.way}: rows are missing"
        assert not mixed(reader.answers), reader.way
        assert {answer[0] for answer in reader.answers} >= {1, 2}, reader.way


def test_a_swap_in_pieces_would_be_seen(mirror: Mirror, two: tuple[str, str]) -> None:
    def in_pieces(connection: Any, statements: list[Any]) -> None:
        for statement in statements:
            connection.execute(statement)

    for release in two:
        point_to(mirror.workspace, release)
        mirror.bring()
    with (
        mock.patch.object(psycopg.Connection, "transaction", return_value=nullcontext()),
        mock.patch.object(mirror_views, "hold"),
        mock.patch.object(postgres, "run", in_pieces),
    ):
        assert any(reader.error or mixed(reader.answers) for reader in watched(mirror, two, 2))


def test_whoever_has_an_older_snapshot_sees_the_new_release_and_no_empty_one(mirror: Mirror) -> None:
    query = f"select distinct events from quorum_t_{mirror.tenants[0]}.mart_tenant_daily"
    with closing(mirror.of_tenant(mirror.tenants[0])) as connection:
        connection.execute("begin isolation level repeatable read; select 1")
        numbered(mirror, 50)
        mirror.bring()
        assert connection.execute(query.encode()).fetchall() == [(50,)]
        connection.execute("commit")


def test_only_the_last_releases_stay(mirror: Mirror, two: tuple[str, str]) -> None:
    for number in (4, 5):
        last = numbered(mirror, number)
        mirror.bring()
        assert shown(mirror) == number
    releases = {name.split("_")[2] for name in schemas(mirror)}
    assert len(releases) == KEPT_RELEASES
    assert last in releases


def die_at(workspace: Path, url: str, step: int) -> None:
    """Mirror, and be killed as the server is asked for the step-th time."""
    passed = 0
    execute = psycopg.Connection.execute

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal passed
        passed += 1
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(*arguments, **options)

    with mock.patch.object(psycopg.Connection, "execute", counting):
        sink.mirror(Workspace(workspace), url, worlds.silent)
    (workspace / "asked").write_text(str(passed))


def test_killed_at_any_step_readers_stay_and_the_next_run_ends_it(mirror: Mirror) -> None:
    """Steps all over a run that fills and swaps, and those around its one commit that counts."""

    def mirrored(number: int, step: int) -> int | None:
        numbered(mirror, number)
        process = processes.Process(target=die_at, args=(mirror.workspace.root, mirror.url, step))
        process.start()
        process.join()
        return process.exitcode

    number = 100
    assert mirrored(number, 10**9) == 0
    asked = int((mirror.workspace.root / "asked").read_text())
    assert asked > 100
    for step in (*range(10, asked, asked // 3), *range(asked - 10, asked + 1, 4)):
        before, number = number, number + 1
        assert mirrored(number, step) == -signal.SIGKILL
        assert shown(mirror) in (before, number)
        mirror.bring()
        assert shown(mirror) == number
        releases = {name.split("_")[2] for name in schemas(mirror)}
        assert len(releases) <= KEPT_RELEASES
        assert schemas(mirror) == expected(mirror, *releases)
    recorded = [entry.facts["swap"] for entry in AuditLog(mirror.workspace).of("mirrored")]
    with psycopg.connect(mirror.server.url("marts")) as connection:
        swaps = connection.execute("select swap, recorded from quorum_state.swaps order by number").fetchall()
    assert swaps == [(swap, True) for swap in recorded], "each is on the audit log, once"


def test_who_holds_a_transaction_keeps_the_release_and_the_next_run_moves_on(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered(mirror, 200)
    mirror.bring()
    monkeypatch.setattr(sink, "PATIENCE_SECONDS", 1)
    release = numbered(mirror, 201)
    with closing(mirror.of_tenant(mirror.tenants[0])) as connection:
        connection.execute("begin")
        view = f"quorum_t_{mirror.tenants[0]}.mart_tenant_daily"
        assert connection.execute(f"select distinct events from {view}".encode()).fetchall() == [(200,)]
        with pytest.raises(QuorumError, match=r"^readers hold the former release"):
            mirror.bring()
        assert connection.execute(f"select distinct events from {view}".encode()).fetchall() == [(200,)]
        assert shown(mirror) == 200
    with mock.patch.object(mirror_fill, "fill", side_effect=AssertionError):
        assert mirror.bring() | {"moved": True} == mirror.bring() | {"moved": True}, "it was filled already"
    assert (shown(mirror), (mirror.workspace.published / "current").resolve().name) == (201, release)


def test_a_server_without_room_for_the_locks_says_how_much_it_needs(mirror: Mirror) -> None:
    """As with a thousand tenants and the server's defaults; here others hold what there is, but for a hundred."""
    numbered(mirror, 299)
    mirror.bring()
    release = numbered(mirror, 300)
    with psycopg.connect(mirror.server.url(mirror.database), autocommit=True) as others:
        with pytest.raises(psycopg.errors.OutOfMemory):
            others.execute("select pg_advisory_lock(n) from generate_series(1, 1000000) as numbers (n)")
        others.execute("select pg_advisory_unlock(n) from generate_series(1, 100) as numbers (n)")
        with pytest.raises(
            QuorumError, match=r"4 tenants are moved at once.* locks: set max_locks_per_transaction = 128,"
        ):
            mirror.bring()
    assert shown(mirror) == 299
    with mock.patch.object(mirror_fill, "fill", side_effect=AssertionError):
        assert mirror.bring()["moved"], "and it was filled already"
    assert (shown(mirror), (mirror.workspace.published / "current").resolve().name) == (300, release)


def test_a_server_without_memory_is_not_told_of_locks(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are one kind of error."""
    numbered(mirror, 301)
    with monkeypatch.context() as planted:
        planted.setattr(mirror_grants, "settle", mock.Mock(side_effect=psycopg.errors.OutOfMemory("out of memory")))
        with pytest.raises(QuorumError, match=r"stays as it was: out of memory$"):
            mirror.bring()
    assert mirror.bring()["moved"]


def test_columns_that_change_change_for_readers_too(mirror: Mirror) -> None:
    changes = [
        "alter table held.mart_tenant_daily drop column sessions",
        "alter table held.mart_tenant_daily add more int",
    ]
    key = mirror.tenants[0]
    republished(mirror.workspace, {key: changes})
    manifest = mirror.workspace.published / "current" / "tenants" / key / "manifest.json"
    assert manifest.is_file()
    mirror.bring()
    with closing(mirror.of_tenant(key)) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                [f"quorum_t_{key}.mart_tenant_daily"],
            ).fetchall()
        ]
    with attached(file_of(manifest.parents[2], key), key_of(mirror.workspace, key)) as held:
        assert names == [name for name, *_ in held.execute("describe held.mart_tenant_daily").fetchall()]
    assert "sessions" not in names


def test_a_tenant_that_has_left_has_nothing_here_any_more(mirror: Mirror) -> None:
    *_, gone = mirror.tenants
    reader = mirror.of_tenant(gone)
    republished(mirror.workspace, {}, without=[gone])
    mirror.bring()
    with closing(reader) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute(f"select * from quorum_t_{gone}.mart_tenant_daily".encode())
    assert not any(gone in name for name in schemas(mirror))
    assert not has_role(mirror, gone)
    assert AuditLog(mirror.workspace).of("mirrored")[-1].facts["withdrawn"] == [gone]
    assert not mirror.bring()["moved"]


def test_one_that_leaves_without_ever_having_read_takes_nothing_from_who_reads(mirror: Mirror) -> None:
    """As in a mirror of benchmarks alone: the former release stays until there is another, and then goes as a whole."""
    *_, gone = mirror.tenants
    fill = mirror_fill.fill
    read: list[int] = []

    def reading(*arguments: Any) -> None:
        read.append(shown_to_all(mirror))
        fill(*arguments)

    numbered(mirror, 400)
    mirror.workspace.policy.mkdir(exist_ok=True)
    policy = mirror.workspace.policy / "access.csv"
    policy.write_text("role,plane,relation,sees\ntenant,tenant,m*,none\n")
    try:
        mirror.bring()
        mirror.admin("update quorum_state.swaps set granted = '{}', withdrawn = '{}'")  # it was so from the beginning
        republished(mirror.workspace, {}, without=[gone])
        with mock.patch.object(mirror_fill, "fill", reading):
            mirror.bring()
    finally:
        policy.unlink()
    assert read == [400] * (1 + len(mirror.tenants))
    assert gone not in mirror.tenants
    assert not any(gone in name for name in schemas(mirror))
    assert not has_role(mirror, gone)
