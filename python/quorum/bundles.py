"""Bundle files: relations with their comments as one new DuckDB file, encrypted where a tenant has a key to it.

What goes into files is put together once, in memory: all rows that are to be written, and their tables with comments,
which a file gets empty and in one statement. To comment on each column of each bundle would take longer than the rows.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from quorum import warehouse
from quorum.digests import among
from quorum.keyring import Keyring
from quorum.marts import Published, Relation
from quorum.warehouse import quoted
from quorum.workspace import Workspace

BLOCK_SIZE = 16384  # the smallest: most bundles are a few kilobytes of rows


@dataclass(frozen=True)
class Bundle:
    """What a tenant gets: its folder, and the key that opens it (base64 of 32 bytes)."""

    tenant_key: str
    key: str = field(repr=False)

    @property
    def key_check(self) -> str:
        """What its manifest says of the key: the same key or another, and nothing more."""
        return hashlib.sha256(b"quorum bundle key" + self.key.encode()).hexdigest()


def of_tenants(workspace: Workspace, keyring: Keyring) -> list[Bundle]:
    """Return the bundles of the tenants whose rules, as they hold last, say ``publish_bundle``."""
    tenants = {keys.tenant_key: tenant for tenant, keys in keyring.tenants().items()}
    with warehouse.opened(workspace, "tenant", read_only=True) as connection:
        found = warehouse.rows(
            connection,
            "select tenant_key from dim_tenants where listing <> 'default' "
            "qualify row_number() over (partition by tenant_key order by valid_from desc) = 1 "
            "and publish_bundle order by tenant_key",
        )
    return [Bundle(row["tenant_key"], keyring.bundle_key(tenants[row["tenant_key"]])) for row in found]


@contextmanager
def staged(connection: duckdb.DuckDBPyConnection) -> Iterator["Stage"]:
    """Hold what goes into files, for as long as files are written."""
    connection.execute("attach ':memory:' as staged")
    try:
        yield Stage(connection)
    finally:
        connection.execute("detach staged")


class Stage:
    """Relations that files are written from."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._relations: list[Relation] = []

    def add(self, relation: Relation, query: str, values: Sequence[str] | None = None) -> None:
        """Take in the rows of a query, in the order of their values, with comments."""
        name = f"staged.{relation.name}"
        parameters = [] if values is None else [list(values)]
        self._connection.execute(f"create table {name} as {query} order by all", parameters)
        self._connection.execute(f"comment on table {name} is '{quoted(relation.meaning)}'")
        for column in relation.columns:
            self._connection.execute(f"comment on column {name}.{column.name} is '{quoted(column.meaning)}'")
        self._relations.append(relation)

    def add_marts(self, published: Published, tenants: Sequence[str]) -> None:
        """Take in the marts of these tenants, and what their metrics mean."""
        for mart in published.of_tenants:
            self.add(mart, f"select * from tenant.{mart.name} where {among('tenant_key')}", tenants)
        metrics = published.metric_catalog
        self.add(metrics, f"select * from tenant.{metrics.name} where {among('mart')}", published.names)

    def write(self, file: Path, bundle: Bundle | None = None) -> None:
        """Write all that was taken in, or what of it is one tenant's, encrypted with its key."""
        options = [f"block_size {BLOCK_SIZE}"] + ([f"encryption_key '{bundle.key}'"] if bundle else [])
        self._connection.execute(f"attach '{quoted(file)}' as bundle ({', '.join(options)})")
        try:
            self._connection.begin()
            self._connection.execute("copy from database staged to bundle (schema)")
            for relation in self._relations:
                # a tenant's key is 128 random bits in hex, so it cannot end the literal
                own = f"where tenant_key = '{bundle.tenant_key}'" if bundle and "tenant_key" in relation.grain else ""
                self._connection.execute(f"insert into bundle.{relation.name} from staged.{relation.name} {own}")
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise
        finally:
            self._connection.execute("detach bundle")
