"""What is PostgreSQL's own: who may do what, what a server or a role may have set, and what is said when it fails."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from quorum import ledger_database
from quorum.errors import BadInput, QuorumError, Refused
from quorum.ledger import Ledger
from quorum.ledger_database import Postgres, database
from quorum.ledger_store import Store
from tests.ledger.charges import COST, YEARLY, raw, use, week
from tests.ledger.nights import assert_made_good
from tests.postgres import ADMIN, PASSWORD, Server

GRANTS = (
    "create role job login password 'job'",
    "create role auditor login password 'auditor'",
    "grant usage on schema quorum_ledger to job, auditor",
    "grant select, insert on all tables in schema quorum_ledger to job",
    "grant select on all tables in schema quorum_ledger to auditor",
)


@pytest.fixture
def url(server: Server) -> str:
    return server.emptied("ledger")


@contextmanager
def setting(server: Server, of: str, statement: str, undo: str) -> Iterator[None]:
    server.execute(f"{of} {statement}")
    server.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        server.execute(f"{of} {undo}")
        server.execute("select pg_reload_conf()")


class TestWhatIsSaid:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"password": "hunter2"}, 'password authentication failed for user "admin"'),
            ({"username": "nobody"}, 'password authentication failed for user "nobody"'),
            ({"database": "nowhere"}, 'database "nowhere" does not exist'),
            ({"query": {"host": "/tmp/quorum-nowhere"}}, "No such file or directory"),  # noqa: S108
            ({"query": {}, "host": "127.0.0.1", "port": 1}, "Connection refused"),
            ({"query": {"host": "127.0.0.1", "nonsense": PASSWORD}}, 'invalid connection option "nonsense"'),
        ],
    )
    @pytest.mark.parametrize("call", [Ledger.open, Ledger.create])
    def test_a_server_that_lets_nobody_in_is_one_line_without_a_password(
        self, server: Server, call: Callable[[str], Ledger], change: dict[str, Any], said: str
    ) -> None:
        url = sa.make_url(server.url()).set(**change)
        with pytest.raises(QuorumError, match=r"^the ledger cannot be used: [^\n]*$") as caught:
            call(url.render_as_string(hide_password=False))
        assert said in str(caught.value)
        for password in (PASSWORD, str(url.password)):
            assert password not in str(caught.value)

    def test_a_place_is_named_without_its_secrets(self, url: str) -> None:
        secretive = sa.make_url(url).update_query_dict({"password": "hunter2", "sslpassword": "hunter3"})
        said = str(database(secretive.render_as_string(hide_password=False)))
        assert said.startswith(f"postgresql+psycopg://{ADMIN}:***@/ledger?host=")
        assert not any(secret in said for secret in (PASSWORD, "hunter2", "hunter3"))
        with pytest.raises(Refused, match=r"^there is no ledger at postgresql[^ ]*: put it back") as caught:
            Ledger.open(url)
        assert PASSWORD not in str(caught.value)

    @pytest.mark.parametrize("prefix", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
    def test_there_is_one_driver_whatever_the_url_says(self, url: str, prefix: str) -> None:
        Ledger.create(f"{prefix}:{url.partition(':')[2]}")
        assert Ledger.open(url).length == 1

    def test_without_its_driver_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(BadInput, match=r"pip install 'quorum\[postgres\]'"):
            Ledger.open("postgresql://somewhere/ledger")


class TestWhoMayDoWhat:
    @pytest.fixture
    def used(self, server: Server, url: str) -> Iterator[Ledger]:
        yield use(Ledger.create(url))
        with suppress(sa.exc.ProgrammingError):
            server.execute("drop owned by job, auditor", "ledger")
            server.execute("drop role job, auditor")

    @pytest.fixture
    def granted(self, server: Server, used: Ledger) -> Server:
        for statement in GRANTS:
            server.execute(statement, "ledger")
        return server

    def test_the_job_needs_to_read_and_to_insert_and_no_more(self, granted: Server) -> None:
        url = granted.url("ledger", "job", "job")
        job = Ledger.open(url)
        job.commit(job.reserve(week(7), COST, YEARLY), {})
        assert job.verify() == 7
        for verb in ("update entries set seq = seq", "delete from contents", "truncate entries, contents"):
            with raw(url) as connection, pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                connection.exec_driver_sql(verb)
        for verb in ("drop table contents", "alter table entries disable trigger all"):
            with raw(url) as connection, pytest.raises(sa.exc.ProgrammingError, match="must be owner"):
                connection.exec_driver_sql(verb)

    def test_an_auditor_reads_all_and_spends_nothing(self, granted: Server) -> None:
        auditor = Ledger.open(granted.url("ledger", "auditor", "auditor"))
        assert auditor.verify() == 5
        assert len(auditor.report()) == 5
        with pytest.raises(QuorumError, match=r"^the ledger cannot be used: permission denied for table entries$"):
            auditor.reserve(week(7), COST, YEARLY)

    def test_who_may_not_make_one_says_so(self, granted: Server) -> None:
        granted.execute("drop schema quorum_ledger cascade", "ledger")
        with pytest.raises(QuorumError, match=r"^the ledger cannot be used: permission denied for database ledger$"):
            Ledger.create(granted.url("ledger", "job", "job"))

    @pytest.mark.parametrize(
        "verb",
        [
            "truncate entries, contents",
            "update entries set seq = 9 where false",
            "insert into entries values (1, '') on conflict (seq) do update set record = ''",
            "set session_replication_role = replica; delete from contents",
        ],
    )
    def test_its_owner_has_to_lift_the_guard_first(self, used: Ledger, url: str, verb: str) -> None:
        with raw(url) as connection, pytest.raises(sa.exc.DBAPIError, match="append-only"):
            connection.exec_driver_sql(verb)
        assert used.verify() == 5


class TestWhatTheServerMayHaveSet:
    def test_a_transaction_does_not_live_by_its_defaults(self, server: Server, url: str) -> None:
        Ledger.create(url)
        spoilt = {
            "default_transaction_isolation": "'repeatable read'",
            "synchronous_commit": "off",
            "search_path": "public",
            "lock_timeout": "0",
        }
        for name, value in spoilt.items():
            server.execute(f"alter database ledger set {name} = {value}")
        try:
            with Store.open(url).transaction() as chain:
                shown = {
                    name: chain._connection.exec_driver_sql(f"show {name}").scalar()
                    for name in (*spoilt, "transaction_isolation", "idle_in_transaction_session_timeout")
                }
        finally:
            server.execute("alter database ledger reset all")
        assert shown | {"default_transaction_isolation": ""} == {
            "default_transaction_isolation": "",
            "transaction_isolation": "read committed",
            "synchronous_commit": "on",
            "search_path": "quorum_ledger",
            "lock_timeout": "1min",
            "idle_in_transaction_session_timeout": "1min",
        }

    def test_another_table_of_that_name_is_no_ledger(self, server: Server, url: str) -> None:
        server.execute("create table public.entries (seq int, record text)", "ledger")
        try:
            with pytest.raises(Refused, match="there is no ledger"):
                Ledger.open(url)
            assert Ledger.create(url).length == 1
        finally:
            server.execute("drop table public.entries", "ledger")

    def test_a_server_that_could_forget_is_refused(self, server: Server, url: str) -> None:
        ledger = Ledger.create(url)
        off = setting(server, "alter system", "set fsync = off", "reset fsync")
        with off, pytest.raises(Refused, match="fsync off"):
            ledger.reserve(week(), COST, YEARLY)
        assert ledger.length == 1

    def test_a_session_that_cannot_write_is_refused(self, server: Server, url: str) -> None:
        """As on a standby, which shows what was spent a while ago."""
        Ledger.create(url)
        standby = setting(server, "alter database ledger", "set default_transaction_read_only = on", "reset all")
        with standby, pytest.raises(QuorumError, match=r"^the ledger cannot be used: .*read-only"):
            Ledger.open(url)

    def test_an_encoding_that_cannot_hold_every_answer_is_refused(self, server: Server) -> None:
        server.execute("create database latin encoding 'latin1' template template0")
        with pytest.raises(Refused, match="encoded in LATIN1"):
            Ledger.create(server.url("latin"))


def test_what_is_dumped_and_restored_is_the_ledger_with_its_guards(server: Server, url: str) -> None:
    used = use(Ledger.create(url))
    dump = server.run("pg_dump", "-n", "quorum_ledger", "ledger")
    copy = server.emptied("other")
    server.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "other", input=dump)
    restored = Ledger.open(copy)
    assert restored.entries() == used.entries()
    assert (restored.verify(), restored.answers("adoption")) == (5, used.answers("adoption"))
    with raw(copy) as connection, pytest.raises(sa.exc.DBAPIError, match="append-only"):
        connection.exec_driver_sql("delete from contents")
    used.reserve(week(7), COST, YEARLY)
    with pytest.raises(Refused, match="an older ledger was put back"):
        restored.refuse_if_behind(used.identity, used.length)


class TestWhoHoldsTheLock:
    def test_whoever_waits_too_long_is_told(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger = Ledger.create(url)
        with ledger._book():
            monkeypatch.setattr(ledger_database, "_PATIENCE_SECONDS", 0.2)
            with pytest.raises(QuorumError, match=r"^the ledger cannot be used: .* lock timeout$"):
                Ledger.open(url)

    def test_a_client_that_fell_silent_holds_nobody_up(self, url: str, tmp_path: Path) -> None:
        ledger = Ledger.create(url)
        with mock.patch.object(ledger_database, "_PATIENCE_SECONDS", 0.2):
            silent = Postgres(sa.make_url(url)).engine.connect()
            silent.begin()
        assert_made_good(url, tmp_path / "released")  # waits until the server has ended the silent one
        with pytest.raises(sa.exc.DBAPIError):
            silent.exec_driver_sql("select 1")
        assert ledger.length == 3
