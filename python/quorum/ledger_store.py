"""Where the ledger's hash chain lives: two append-only tables of a database that SQLAlchemy reaches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from quorum.errors import Refused
from quorum.hash_chain import ChainBroken, Entry, canonical, check, digest, parse
from quorum.ledger_database import Database, database, one_line

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
    """The tables of one ledger."""

    database: Database

    @classmethod
    def create(cls, url: str, facts: Mapping[str, Any]) -> Store:
        """Make the tables, with a first entry of kind ``create``; raises Refused where they exist."""
        place = database(url)
        with one_line(), place.engine.begin() as connection:
            if sa.inspect(connection).has_table(_entries.name):
                raise Refused(f"there is a ledger at {place} already, and what it spent must not be forgotten")
            place.create(connection, _metadata)
            Chain(connection).append("create", facts)
        return cls(place)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open what ``create`` made; raises Refused where there is nothing, and leaves nothing behind."""
        place = database(url)
        if not place.has(_entries):
            raise Refused(
                f"there is no ledger at {place}: put it back, a new one would forget what was spent "
                "(before the first run, `quorum ledger --create` makes it)"
            )
        return cls(place)

    @contextmanager
    def transaction(self) -> Iterator[Chain]:
        """Hold the only transaction: what is appended inside is written on leaving, or none of it."""
        with one_line(), self.database.engine.begin() as connection:
            chain = Chain(connection)
            if not chain.entries:
                raise ChainBroken(_NAME, 1, "is missing")
            yield chain
