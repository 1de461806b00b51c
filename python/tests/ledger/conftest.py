"""Each test of the ledger runs over a file of SQLite and over a database of a real PostgreSQL server."""

from pathlib import Path

import pytest

from quorum.ledger import Ledger
from tests import postgres
from tests.ledger.charges import use

STORES = ("sqlite", "postgresql")


def new_url(name: str, store: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if store == "sqlite":
        return f"sqlite:///{folder / name}.sqlite"
    server: postgres.Server = request.getfixturevalue("server")
    return server.emptied(name)


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_url("ledger", request.param, request, tmp_path)


@pytest.fixture
def other_url(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the place of a second ledger, of the same kind."""
    return new_url("other", url.partition(":")[0], request, tmp_path)


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger.create(url)


@pytest.fixture
def used(ledger: Ledger) -> Ledger:
    """Entries: 1 create, 2 reserve and 3 commit of week 0, 4 reserve and 5 commit of week 1."""
    return use(ledger)
