"""Killed between any two steps, asked by many at once, asked again and again: what is out is paid for, once."""

import multiprocessing
import os
import signal
from contextlib import suppress
from decimal import Decimal
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa

from quorum.errors import QuorumError
from quorum.hash_chain import ChainBroken
from quorum.ledger import Ledger
from quorum.ledger_database import Postgres, Sqlite
from tests.ledger.charges import GATED, MONDAY, TENTH, room_for, week
from tests.ledger.nights import MOMENTS, assert_harmless, assert_made_good, night
from tests.postgres import Server

# forks of a process that has imported all: fifty interpreters would take a minute to begin
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["psycopg", "sqlalchemy.dialects.postgresql", __name__])


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return tmp_path / "released.json"


def die_at(fatal: str, url: str, released: Path) -> None:
    def kill(moment: str) -> None:
        if moment == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    night(url, released, kill)


class TestKilledBetweenTwoSteps:
    def test_no_moment_is_left_out(self, ledger: Ledger, url: str, released: Path) -> None:
        passed: list[str] = []
        night(url, released, passed.append)
        assert tuple(passed) == MOMENTS

    @pytest.mark.parametrize("moment", MOMENTS)
    @pytest.mark.parametrize("time", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 51))])
    def test_the_process(self, ledger: Ledger, url: str, released: Path, moment: str, time: int) -> None:
        process = processes.Process(target=die_at, args=(moment, url, released))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert released.exists() == (moment == "released")
        assert_harmless(url, released)
        assert_made_good(url, released)

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_its_connection(self, server: Server, released: Path, moment: str) -> None:
        url = server.emptied("ledger")
        Ledger.create(url)

        def cut(passed: str) -> None:
            if passed == moment:
                server.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'ledger'")

        with suppress(QuorumError):
            night(url, released, cut)
        assert_harmless(url, released)
        assert_made_good(url, released)

    @pytest.mark.parametrize(
        "moment",
        [
            pytest.param(moment, marks=() if moment == "storing: after commit" else pytest.mark.soak)
            for moment in MOMENTS
        ],
    )
    def test_the_server(self, server: Server, released: Path, moment: str) -> None:
        url = server.emptied("ledger")
        Ledger.create(url)

        def crash(passed: str) -> None:
            if passed == moment:
                server.stop(signal.SIGQUIT)

        try:
            with suppress(QuorumError):
                night(url, released, crash)
            with pytest.raises(QuorumError, match=r"^the ledger cannot be used: [^\n]+$"):
                Ledger.open(url)
        finally:
            server.start()
        assert_harmless(url, released)
        assert_made_good(url, released)

    def test_by_halves_it_would_be_noticed(self, tmp_path: Path, released: Path) -> None:
        """Without a transaction, a night that dies amid storing leaves a commit whose answer is nowhere."""
        url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
        Ledger.create(url)

        def die(moment: str) -> None:
            if moment == "storing: before contents":
                raise KeyboardInterrupt

        with mock.patch.object(Sqlite, "_begin"), pytest.raises(KeyboardInterrupt):
            night(url, released, die)
        with pytest.raises(ChainBroken, match="no longer has the answer it committed"):
            assert_harmless(url, released)


def reserve_at_once(url: str, number: int, ready: Barrier, results: "Queue[str]") -> None:
    ledger = Ledger.open(url)
    ready.wait()
    try:
        ledger.reserve(week(release=str(number)), TENTH, room_for(10))
        results.put("reserved")
    except QuorumError as error:
        results.put(type(error).__name__)


class TestManyAtOnce:
    def test_fifty_processes_share_room_for_ten(self, ledger: Ledger, url: str) -> None:
        ready, results = processes.Barrier(50), processes.Queue()
        crowd = [processes.Process(target=reserve_at_once, args=(url, n, ready, results)) for n in range(50)]
        for process in crowd:
            process.start()
        outcomes = sorted(results.get(timeout=120) for _ in crowd)
        for process in crowd:
            process.join()
        assert outcomes == ["BudgetExhausted"] * 40 + ["reserved"] * 10
        assert ledger.spent("users", "week", MONDAY) == Decimal("1.0")
        assert ledger.verify() == 11

    def test_without_the_lock_two_cannot_write_one_entry(self, server: Server) -> None:
        """The lock lets all through in turn; should it be gone, who comes second fails, and spends nothing."""
        url = server.emptied("ledger")
        ledger, waiting = Ledger.create(url), [week(release="other")]

        def overtake(_connection: object, _cursor: object, sql: str, *_others: object) -> None:
            if sql.startswith("INSERT") and waiting:
                Ledger.open(url).reserve(waiting.pop(), TENTH, room_for(1))

        sa.event.listen(sa.Engine, "before_cursor_execute", overtake)
        try:
            with (
                mock.patch.object(Postgres, "LOCK", sa.text("select 1")),
                pytest.raises(QuorumError, match="duplicate key value violates unique constraint"),
            ):
                ledger.reserve(week(), TENTH, room_for(1))
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", overtake)
        assert ledger.charges()[0].slot.release == "other"
        assert ledger.spent("users", "week", MONDAY) == TENTH.rho


@pytest.mark.parametrize("nights", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_nights_over_the_same_input_are_one_charge_and_one_answer_in_postgresql(
    server: Server, released: Path, nights: int
) -> None:
    url = server.emptied("ledger")
    Ledger.create(url)
    assert_frozen(url, released, nights)


def test_two_hundred_nights_over_the_same_input_are_one_charge_and_one_answer(tmp_path: Path, released: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    Ledger.create(url)
    assert_frozen(url, released, 200)


def assert_frozen(url: str, released: Path, nights: int) -> None:
    out = set()
    for _ in range(nights):
        night(url, released)
        out.add(released.read_text())
    assert len(out) == 1
    assert_made_good(url, released)
    assert Ledger.open(url).spent("users", "lifetime", MONDAY) == GATED.rho
