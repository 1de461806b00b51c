"""What the tests of the ledger ask for, and a way around all that guards its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal

import sqlalchemy as sa

from quorum.budget import Budget, Cost, Slot
from quorum.ledger import Gate, Ledger
from quorum.ledger_database import database

MONDAY = date(2026, 3, 23)
COST = Cost(Decimal("0.05"))
GATED = Cost(Decimal("0.05"), Decimal("1.07e-8"))
TENTH = Cost(Decimal("0.1"))
YEARLY = Budget("users", {"year": Decimal("2.6")})
GATE = Gate("map", frozenset({"atom"}))


def week(number: int = 0, release: str = "adoption", population: str = "users") -> Slot:
    start = MONDAY + timedelta(weeks=number)
    return Slot(population, release, "week", start, start + timedelta(weeks=1), "spec", "policy")


def room_for(tenths: int) -> Budget:
    return Budget("users", {"week": tenths * TENTH.rho})


def use(ledger: Ledger, weeks: int = 2) -> Ledger:
    """Entries: 1 create, 2 reserve and 3 commit of week 0, 4 reserve and 5 commit of week 1, and so on."""
    for number in range(weeks):
        ledger.commit(ledger.reserve(week(number), GATED, YEARLY), {"week": number}, GATE)
    return ledger


@contextmanager
def raw(url: str) -> Iterator[sa.Connection]:
    """Reach the tables as anybody can who knows the password: no lock is asked for, no setting made."""
    place = database(url)
    with sa.create_engine(place.url, poolclass=sa.NullPool).begin() as connection:
        if place.schema:
            connection.exec_driver_sql(f"set search_path to {place.schema}")
        yield connection


def unprotect(connection: sa.Connection) -> None:
    """Drop what keeps the tables append-only and in step, as their owner can."""
    if connection.dialect.name == "sqlite":
        for (name,) in connection.exec_driver_sql("select name from sqlite_master where type = 'trigger'").all():
            connection.exec_driver_sql(f"drop trigger {name}")
    else:
        connection.exec_driver_sql("alter table contents drop constraint contents_seq_fkey")
        for table in ("entries", "contents"):
            connection.exec_driver_sql(f"drop trigger append_only on {table}")
