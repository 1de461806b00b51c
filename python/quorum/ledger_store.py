"""Where the ledger's hash chain lives: two append-only tables of any database that SQLAlchemy reaches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from quorum.errors import BadInput, QuorumError, Refused
from quorum.hash_chain import ChainBroken, Entry, canonical, check, digest, parse

_NAME = "ledger"
_metadata = sa.MetaData()
_entries = sa.Table(
    "entries",
    _metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("record", sa.Text, nullable=False),
)
_contents = sa.Table(
    "contents",
    _metadata,
    sa.Column("seq", sa.ForeignKey(_entries.c.seq), primary_key=True, autoincrement=False),
    sa.Column("slot", sa.Text, nullable=False, unique=True),
    sa.Column("draw", sa.Text, unique=True),  # NULL where the answer drew no gate
    sa.Column("content", sa.Text, nullable=False),
)
_SQLITE_TRIGGERS = [
    f"CREATE TRIGGER {table.name}_no_{verb} BEFORE {verb} ON {table.name} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for table in (_entries, _contents)
    for verb in ("UPDATE", "DELETE")
]

# The first entry is the mutex where rows are locked; SQLite locks as a whole, and renders no FOR UPDATE.
_LOCK = sa.select(_entries.c.seq).where(_entries.c.seq == 1).with_for_update()


class Chain:
    """The whole chain, checked, inside one transaction that nobody else writes in."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        records: sa.ScalarResult[str] = connection.scalars(sa.select(_entries.c.record).order_by(_entries.c.seq))
        self.entries = check(parse((record.encode() for record in records), _NAME), _NAME)

    def append(self, kind: str, facts: Mapping[str, Any]) -> Entry:
        entry = Entry.after(self.entries[-1] if self.entries else None, kind, facts)
        self._connection.execute(_entries.insert(), {"seq": entry.seq, "record": entry.line().decode()})
        self.entries.append(entry)
        return entry

    def append_commit(self, facts: Mapping[str, Any], content: Mapping[str, Any]) -> Entry:
        """Append a commit with its content; the facts ``slot`` and ``draw`` can be used once each."""
        entry = self.append("commit", {**facts, "content": digest(content)})
        row = {"seq": entry.seq, "slot": facts["slot"], "draw": facts["draw"]}
        self._connection.execute(_contents.insert(), {**row, "content": canonical(content).decode()})
        return entry

    def content(self, commit: Entry) -> dict[str, Any]:
        """Return what was committed, never anything else: raises ChainBroken if it is not there as it was."""
        text = self._connection.scalar(sa.select(_contents.c.content).where(_contents.c.seq == commit.seq))
        if text is None or hashlib.sha256(text.encode()).hexdigest() != commit.facts["content"]:
            raise ChainBroken(_NAME, commit.seq, "no longer has the answer it committed")
        return dict(json.loads(text))


@dataclass(frozen=True)
class Store:
    """The database of one ledger."""

    engine: sa.Engine

    @classmethod
    def create(cls, url: str, facts: Mapping[str, Any]) -> Store:
        """Make the tables, with a first entry of kind ``create``; raises Refused where they exist."""
        engine = _engine(url)
        with _one_line(), engine.begin() as connection:
            if sa.inspect(connection).has_table(_entries.name):
                raise Refused(f"there is a ledger at {engine.url} already, and what it spent must not be forgotten")
            _metadata.create_all(connection)
            if engine.dialect.name == "sqlite":
                for trigger in _SQLITE_TRIGGERS:
                    connection.exec_driver_sql(trigger)
            Chain(connection).append("create", facts)
        return cls(engine)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open what ``create`` made; raises Refused where there is nothing, and leaves nothing behind."""
        engine = _engine(url)
        # Connecting to a missing SQLite file would make an empty one.
        found = engine.dialect.name != "sqlite" or Path(str(engine.url.database)).is_file()
        with _one_line():
            found = found and sa.inspect(engine).has_table(_entries.name)
        if not found:
            raise Refused(f"there is no ledger at {engine.url}: put it back, a new one would forget what was spent")
        return cls(engine)

    @contextmanager
    def transaction(self) -> Iterator[Chain]:
        """Hold the only transaction: what is appended inside is written on leaving, or none of it."""
        with _one_line(), self.engine.begin() as connection:
            connection.execute(_LOCK)
            chain = Chain(connection)
            if not chain.entries:
                raise ChainBroken(_NAME, 1, "is missing")
            yield chain


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise QuorumError(f"the ledger cannot be used: {error.orig}") from error


def _engine(url: str) -> sa.Engine:
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool)  # no handle outlives its transaction
    except (sa.exc.ArgumentError, ImportError) as error:
        raise BadInput(f"the ledger's URL cannot be used: {error}") from error
    if engine.dialect.name == "sqlite":
        if engine.url.database in (None, "", ":memory:"):
            raise BadInput("a ledger in memory would forget what was spent: give its URL a file")
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # else the driver begins by itself, and too late
    connection.execute("PRAGMA busy_timeout = 60000")
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL may lose the last commit to a power cut in the default journal mode; EXTRA does not. A write-ahead
    # log would be one more file, which a copy of the ledger can miss.
    connection.execute("PRAGMA synchronous = EXTRA")


def _begin_immediate(connection: sa.Connection) -> None:
    # Check and reserve are one step: locked only at the first write, of two processes that have both read the
    # chain one would fail, where it should wait and read again.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
