import json
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa

from quorum.budget import Budget, Cost, Slot
from quorum.errors import BadInput, QuorumError, Refused
from quorum.hash_chain import ChainBroken, Entry, digest
from quorum.ledger import Gate, Ledger

MONDAY = date(2026, 3, 23)
COST = Cost(Decimal("0.05"))
TENTH = Cost(Decimal("0.1"))
GATED = Cost(Decimal("0.05"), Decimal("1.07e-8"))
YEARLY = Budget("users", {"year": Decimal("2.6")})
ROOM_FOR_THREE = Budget("users", {"week": Decimal("0.3")})
PAYLOAD = {"cells": [3, -1]}


def week(number: int = 0, release: str = "adoption") -> Slot:
    start = MONDAY + timedelta(weeks=number)
    return Slot("users", release, "week", start, start + timedelta(weeks=1), "spec", "policy")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger.create(url)


@pytest.fixture
def used(ledger: Ledger) -> Ledger:
    """Entries: 1 create, 2 reserve and 3 commit of week 0, 4 reserve and 5 commit of week 1."""
    for number in range(2):
        reservation = ledger.reserve(week(number), GATED, YEARLY)
        ledger.commit(reservation, {"week": number}, Gate("map", frozenset({"atom"})))
    return ledger


def reserve_at_once(url: str, number: int, ready: Barrier, results: "Queue[str]") -> None:
    ledger = Ledger.open(url)
    ready.wait()
    try:
        ledger.reserve(week(release=str(number)), TENTH, ROOM_FOR_THREE)
        results.put("reserved")
    except QuorumError as error:
        results.put(type(error).__name__)


def reserve_and_die(url: str) -> None:
    Ledger.open(url).reserve(week(), COST, YEARLY)
    os.kill(os.getpid(), signal.SIGKILL)


def die_inside_commit(url: str) -> None:
    ledger = Ledger.open(url)
    reservation = ledger.reserve(week(), GATED, YEARLY)

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def die_between_entry_and_content(_1: object, _2: object, sql: str, *_3: object) -> None:
        if sql.startswith("INSERT INTO contents"):
            os.kill(os.getpid(), signal.SIGKILL)

    ledger.commit(reservation, PAYLOAD, Gate("map", frozenset({"atom"})))


class TestCrashesAndCrowds:
    spawn = multiprocessing.get_context("spawn")

    def test_eight_processes_share_room_for_three(self, ledger: Ledger, url: str) -> None:
        ready, results = self.spawn.Barrier(8), self.spawn.Queue()
        arguments = [(url, number, ready, results) for number in range(8)]
        processes = [self.spawn.Process(target=reserve_at_once, args=each) for each in arguments]
        for process in processes:
            process.start()
        outcomes = sorted(results.get(timeout=60) for _ in processes)
        for process in processes:
            process.join()
        assert outcomes == ["BudgetExhausted"] * 5 + ["reserved"] * 3
        assert ledger.spent("users", "week", MONDAY) == Decimal("0.3")
        assert ledger.verify() == 4

    @pytest.mark.parametrize("crash", [reserve_and_die, die_inside_commit])
    def test_what_a_crash_reserved_is_spent_once_and_not_hidden(
        self, ledger: Ledger, url: str, crash: Callable[[str], None]
    ) -> None:
        process = self.spawn.Process(target=crash, args=(url,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert ledger.verify() == 2
        assert ledger.answer(week()) is None
        assert ledger.eligible("users", "week", MONDAY, "map") is None
        assert ledger.spent("users", "year", MONDAY) == Decimal("0.05")
        [orphan] = ledger.unanswered()
        assert ledger.reserve(week(), orphan.cost, YEARLY) == orphan
        ledger.commit(orphan, PAYLOAD, Gate("map", frozenset()) if orphan.cost.delta_gate else None)
        assert ledger.spent("users", "year", MONDAY) == Decimal("0.05")


Tamper = str | Callable[[sqlite3.Connection], None]


def rewrite(connection: sqlite3.Connection, seq: int, change: Callable[[Entry], Entry]) -> None:
    (record,) = connection.execute("SELECT record FROM entries WHERE seq = ?", (seq,)).fetchone()
    entry = change(Entry(**json.loads(record)))
    connection.execute("UPDATE entries SET record = ? WHERE seq = ?", (entry.line().decode(), seq))


def lower_a_charge(connection: sqlite3.Connection) -> None:
    rewrite(connection, 2, lambda entry: replace(entry, facts={**entry.facts, "rho": "0.01"}))


def forge_a_charge(connection: sqlite3.Connection) -> None:
    rewrite(connection, 2, lambda entry: replace(entry, hash=digest("anything")))


def swap_entries(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE entries SET seq = -2 WHERE seq = 2")
    connection.execute("UPDATE entries SET seq = 2 WHERE seq = 4")
    connection.execute("UPDATE entries SET seq = 4 WHERE seq = -2")


ANYWHERE = [
    (lower_a_charge, 2),
    (forge_a_charge, 2),
    (swap_entries, 2),
    ("DELETE FROM entries WHERE seq = 4", 4),
    ("DELETE FROM entries WHERE seq = 1", 1),
    ("DELETE FROM entries", 1),
    ("UPDATE entries SET record = substr(record, 1, 30) WHERE seq = 3", 3),
]
CONTENT = [
    ("UPDATE contents SET content = replace(content, '0', '7') WHERE seq = 3", 3),
    ("DELETE FROM contents WHERE seq = 3", 3),
    ("UPDATE contents SET seq = 4 WHERE seq = 3", 3),
]


def tamper_with(path: Path, tamper: Tamper) -> None:
    with sqlite3.connect(path) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(tamper) if isinstance(tamper, str) else tamper(connection)
    connection.close()


class TestTampering:
    @pytest.mark.parametrize(("tamper", "first_bad"), ANYWHERE)
    def test_no_call_works_on_a_broken_chain(self, used: Ledger, path: Path, tamper: Tamper, first_bad: int) -> None:
        assert used.verify() == 5
        tamper_with(path, tamper)
        calls: list[Callable[[], object]] = [
            used.verify,
            used.report,
            lambda: used.answer(week()),
            lambda: used.reserve(week(9), COST, YEARLY),
        ]
        for call in calls:
            with pytest.raises(ChainBroken, match=rf"^ledger: entry {first_bad} ") as caught:
                call()
            assert caught.value.seq == first_bad

    @pytest.mark.parametrize(("tamper", "first_bad"), CONTENT)
    def test_no_other_answer_is_served(self, used: Ledger, path: Path, tamper: Tamper, first_bad: int) -> None:
        tamper_with(path, tamper)
        calls: list[Callable[[], object]] = [
            used.verify,
            lambda: used.answer(week()),
            lambda: used.answers("adoption"),
            lambda: used.eligible("users", "week", MONDAY, "map"),
        ]
        for call in calls:
            with pytest.raises(ChainBroken, match=rf"^ledger: entry {first_bad} ") as caught:
                call()
            assert caught.value.seq == first_bad
        with pytest.raises(Refused, match="answered already"):
            used.reserve(week(), COST, YEARLY)  # a deleted answer must not be drawn again

    @pytest.mark.parametrize("table", ["entries", "contents"])
    @pytest.mark.parametrize("verb", ["DELETE FROM {}", "UPDATE {} SET seq = 9"])
    def test_the_tables_are_append_only(self, used: Ledger, path: Path, table: str, verb: str) -> None:
        with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(verb.format(table))
        assert used.verify() == 5


class TestOpening:
    def test_a_missing_ledger_is_refused_and_not_made(self, url: str, path: Path) -> None:
        with pytest.raises(Refused, match="there is no ledger at sqlite:///") as caught:
            Ledger.open(url)
        assert "\n" not in str(caught.value)
        assert not path.exists()

    def test_an_empty_file_is_no_ledger(self, url: str, path: Path) -> None:
        path.touch()
        with pytest.raises(Refused, match="there is no ledger"):
            Ledger.open(url)

    def test_a_ledger_is_not_made_twice(self, used: Ledger, url: str) -> None:
        with pytest.raises(Refused, match="there is a ledger"):
            Ledger.create(url)
        assert used.verify() == 5

    def test_a_file_that_is_no_database_is_one_clear_line(self, url: str, path: Path) -> None:
        path.write_bytes(b"not a database, but long enough to be looked at" * 20)
        with pytest.raises(QuorumError, match=r"^the ledger cannot be used: [^\n]*$"):
            Ledger.open(url)

    @pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "nonsense", "nosuch://host/db"])
    def test_urls_without_a_lasting_database_are_refused(self, bad: str) -> None:
        with pytest.raises(BadInput):
            Ledger.create(bad)

    def test_an_older_ledger_put_back_is_noticed(self, used: Ledger, path: Path) -> None:
        older = path.read_bytes()
        used.reserve(week(7), COST, YEARLY)
        identity, length = used.identity, used.length
        used.refuse_if_behind(identity, length)
        used.reserve(week(8), COST, YEARLY)
        used.refuse_if_behind(identity, length)
        path.write_bytes(older)
        with pytest.raises(Refused, match=r"an older ledger was put back: .* 5 entries .* knows 6"):
            used.refuse_if_behind(identity, length)

    def test_another_ledger_is_noticed(self, used: Ledger, tmp_path: Path) -> None:
        other = Ledger.create(f"sqlite:///{tmp_path / 'other.sqlite'}")
        assert other.identity != used.identity
        with pytest.raises(Refused, match="not the ledger of the published release"):
            other.refuse_if_behind(used.identity, 1)


def test_every_entry_is_salted(used: Ledger, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        records = [json.loads(record) for (record,) in connection.execute("SELECT record FROM entries")]
    assert len({record["salt"] for record in records}) == 5
    assert all(len(record["salt"]) == 32 for record in records)
