"""Canonical digests: the same rows give the same digest, in every process and with any number of threads.

A digest is the SHA-256 of what a reader sees: the relation's name, its columns with their types and meaning, and its
rows in the order of their texts. The text of a row is its values one after the other, each as DuckDB casts it to text
and with its length before it (``4:NULL``). NULL is ``-`` and the empty text ``0:``, so no two rows have one text. This
wants types whose text is all of the value: numbers, texts, dates and times without a zone, as contracts of marts have.

All tenants of a mart are digested in one pass. Only the sort behind it grows with the mart, and a sort may spill.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from quorum.marts import Published, Relation

ROWS_AT_A_TIME = 100_000

Content = dict[str, Any]  # what a folder's manifest says of a relation: its rows, its digest


def of_bundles(
    connection: duckdb.DuckDBPyConnection, published: Published, tenants: Sequence[str]
) -> dict[str, dict[str, Content]]:
    """Return what the bundle of each tenant is to hold, by relation; nothing of a mart is a content too."""
    metrics = _Digest(_head(connection, published.metric_catalog))
    for _, row in _texts(connection, published.metric_catalog, "mart", published.names):
        metrics.add(row)
    contents = {tenant: {published.metric_catalog.name: metrics.content()} for tenant in tenants}
    for mart in published.of_tenants:
        head = _head(connection, mart)
        digests = {tenant: _Digest(head) for tenant in tenants}
        for tenant, row in _texts(connection, mart, "tenant_key", tenants):
            digests[tenant].add(row)
        for tenant, digest in digests.items():
            contents[tenant][mart.name] = digest.content()
    return contents


def among(column: str) -> str:
    """Return the condition that a column has one of the values in a list, the statement's first parameter."""
    return f"{column} in (select unnest(cast($1 as varchar[])))"


class _Digest:
    def __init__(self, head: bytes) -> None:
        self._sha256 = hashlib.sha256(head)
        self._rows = 0

    def add(self, row: str) -> None:
        self._sha256.update(row.encode())
        self._rows += 1

    def content(self) -> Content:
        return {"rows": self._rows, "digest": self._sha256.hexdigest()}


def _head(connection: duckdb.DuckDBPyConnection, relation: Relation) -> bytes:
    meanings = {column.name: column.meaning for column in relation.columns}
    columns = [[name, kind, meanings.get(name)] for name, kind in _columns(connection, relation)]
    return json.dumps([relation.name, relation.meaning, columns]).encode()


def _texts(
    connection: duckdb.DuckDBPyConnection, relation: Relation, part: str, parts: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the text of each row with one of these values in the column ``part``, and that value, in their order."""
    text = " || ".join(
        f"coalesce(strlen(cast({name} as varchar)) || ':' || cast({name} as varchar), '-')"
        for name, _ in _columns(connection, relation)
    )
    found = connection.execute(
        f"select {part} as part, {text} as row from tenant.{relation.name} where {among(part)} order by part, row",
        [list(parts)],
    )
    for batch in found.to_arrow_reader(ROWS_AT_A_TIME):
        yield from zip(batch["part"].to_pylist(), batch["row"].to_pylist(), strict=True)


def _columns(connection: duckdb.DuckDBPyConnection, relation: Relation) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind, *_ in connection.execute(f"describe tenant.{relation.name}").fetchall()]
