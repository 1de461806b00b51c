import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from quorum.errors import QuorumError, Refused
from quorum.hash_chain import ChainBroken, Entry, digest
from quorum.ledger import Ledger
from tests.ledger.charges import COST, MONDAY, YEARLY, raw, unprotect, use, week

Tamper = str | Callable[[sa.Connection], None]


def rewrite(connection: sa.Connection, seq: int, change: Callable[[Entry], Entry]) -> None:
    record = connection.scalar(sa.text("SELECT record FROM entries WHERE seq = :seq"), {"seq": seq})
    line = change(Entry(**json.loads(record or ""))).line().decode()
    connection.execute(sa.text("UPDATE entries SET record = :line WHERE seq = :seq"), {"line": line, "seq": seq})


def lower_a_charge(connection: sa.Connection) -> None:
    rewrite(connection, 2, lambda entry: replace(entry, facts={**entry.facts, "rho": "0.01"}))


def forge_a_charge(connection: sa.Connection) -> None:
    rewrite(connection, 2, lambda entry: replace(entry, hash=digest("anything")))


def swap_entries(connection: sa.Connection) -> None:
    connection.exec_driver_sql("UPDATE entries SET seq = -2 WHERE seq = 2")
    connection.exec_driver_sql("UPDATE entries SET seq = 2 WHERE seq = 4")
    connection.exec_driver_sql("UPDATE entries SET seq = 4 WHERE seq = -2")


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


def tamper_with(url: str, tamper: Tamper) -> None:
    with raw(url) as connection:
        unprotect(connection)
        connection.exec_driver_sql(tamper) if isinstance(tamper, str) else tamper(connection)


class TestTampering:
    @pytest.mark.parametrize(("tamper", "first_bad"), ANYWHERE)
    def test_no_call_works_on_a_broken_chain(self, used: Ledger, url: str, tamper: Tamper, first_bad: int) -> None:
        assert used.verify() == 5
        tamper_with(url, tamper)
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
    def test_no_other_answer_is_served(self, used: Ledger, url: str, tamper: Tamper, first_bad: int) -> None:
        tamper_with(url, tamper)
        calls: list[Callable[[], object]] = [
            used.verify,
            lambda: used.answer(week()),
            lambda: used.answers("adoption"),
            lambda: used.eligible("adoption", "week", MONDAY),
        ]
        for call in calls:
            with pytest.raises(ChainBroken, match=rf"^ledger: entry {first_bad} ") as caught:
                call()
            assert caught.value.seq == first_bad
        with pytest.raises(Refused, match="answered already"):
            used.reserve(week(), COST, YEARLY)  # a deleted answer must not be drawn again

    @pytest.mark.parametrize("table", ["entries", "contents"])
    @pytest.mark.parametrize("verb", ["DELETE FROM {}", "UPDATE {} SET seq = 9"])
    def test_the_tables_are_append_only(self, used: Ledger, url: str, table: str, verb: str) -> None:
        with raw(url) as connection, pytest.raises(sa.exc.DBAPIError, match="append-only"):
            connection.exec_driver_sql(verb.format(table))
        assert used.verify() == 5


class TestOpening:
    def test_a_missing_ledger_is_refused_and_not_made(self, url: str) -> None:
        for _ in range(2):
            with pytest.raises(Refused, match=r"^there is no ledger at (sqlite|postgresql)\S*: put it back"):
                Ledger.open(url)

    def test_a_ledger_is_not_made_twice(self, used: Ledger, url: str) -> None:
        with pytest.raises(Refused, match="there is a ledger"):
            Ledger.create(url)
        assert used.verify() == 5

    @pytest.mark.parametrize(
        "bad",
        [
            *("sqlite://", "sqlite:///:memory:", "secret", "nosuch://u:secret@h/d", "mysql://u:secret@h/d"),
            *("postgresql://u:secret@h:port/d", "postgresql://u:secret@h:99999999/d"),
        ],
    )
    def test_urls_without_a_lasting_database_are_refused_and_not_shown(self, bad: str) -> None:
        with pytest.raises(QuorumError) as caught:
            Ledger.create(bad)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_another_ledger_is_noticed(self, used: Ledger, other_url: str) -> None:
        other = Ledger.create(other_url)
        assert other.identity != used.identity
        with pytest.raises(Refused, match="not the ledger of the published release"):
            other.refuse_if_behind(used.identity, 1)


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "ledger.sqlite"

    def test_an_empty_file_is_no_ledger(self, path: Path) -> None:
        with pytest.raises(Refused, match="there is no ledger"):
            Ledger.open(f"sqlite:///{path}")
        assert not path.exists()
        path.touch()
        with pytest.raises(Refused, match="there is no ledger"):
            Ledger.open(f"sqlite:///{path}")

    def test_a_file_that_is_no_database_is_one_clear_line(self, path: Path) -> None:
        path.write_bytes(b"not a database, but long enough to be looked at" * 20)
        with pytest.raises(QuorumError, match=r"^the ledger cannot be used: [^\n]*$"):
            Ledger.open(f"sqlite:///{path}")

    def test_an_older_ledger_put_back_is_noticed(self, path: Path) -> None:
        used = use(Ledger.create(f"sqlite:///{path}"))
        older = path.read_bytes()
        used.reserve(week(7), COST, YEARLY)
        identity, length = used.identity, used.length
        used.refuse_if_behind(identity, length)
        used.reserve(week(8), COST, YEARLY)
        used.refuse_if_behind(identity, length)
        path.write_bytes(older)
        with pytest.raises(Refused, match=r"an older ledger was put back: .* 5 entries .* knows 6"):
            used.refuse_if_behind(identity, length)


def test_every_entry_is_salted(used: Ledger, url: str) -> None:
    with raw(url) as connection:
        records = [json.loads(str(line)) for (line,) in connection.exec_driver_sql("SELECT record FROM entries")]
    assert len({record["salt"] for record in records}) == 5
    assert all(len(record["salt"]) == 32 for record in records)
