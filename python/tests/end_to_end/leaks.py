"""A search for values that must not stand anywhere outside the restricted plane.

It reads what a person could read: the bytes and the name of every file, and every relation of every database and
Parquet file. DuckDB compresses text (FSST), so the bytes of its files prove nothing and its rows are read too.
"""

import base64
import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import duckdb
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from quorum.encryption import load_encryption

CATALOGS = ("duckdb_tables", "duckdb_views", "duckdb_columns", "duckdb_schemas", "duckdb_functions", "duckdb_types")

Canary = str | bytes


@dataclass(frozen=True)
class Place:
    """Something that can be read: a file's name, its bytes, or a relation in it."""

    file: Path
    part: str
    content: bytes


@dataclass(frozen=True)
class Leak:
    """A canary, in whatever form, and where it stands."""

    file: Path
    part: str
    canary: Canary


def leaks(canaries: Iterable[Canary], places: Iterable[Place]) -> set[Leak]:
    search = _Search(canaries)
    return {Leak(each.file, each.part, canary) for each in places for canary in search.found_in(each.content)}


def forms(canary: Canary) -> set[bytes]:
    """Return the spellings that a value can be read from, and the hashes without a key that it can be guessed from."""
    if isinstance(canary, bytes):
        values, found = {canary}, {_as_duckdb_shows(canary)}
    else:
        values = {spelt.encode() for spelt in (canary, canary.lower(), canary.upper())}
        found = {json.dumps(canary)[1:-1].encode()}
    for value in values:
        found |= {value, quote(value, safe="").encode(), value.hex().encode()}
        found |= {_inside_base64(value, before) for before in range(3)}
        found |= {hashlib.new(name, value).hexdigest()[:32].encode() for name in ("md5", "sha1", "sha256")}
    return {form.lower() for form in found}


def _as_duckdb_shows(blob: bytes) -> bytes:
    plain = set(range(32, 127)) - set(b"\\'\"")
    return b"".join(bytes([byte]) if byte in plain else b"\\x%02X" % byte for byte in blob)


def _inside_base64(value: bytes, before: int) -> bytes:
    """Return the characters of a base64 text that depend on the value alone, where ``before`` bytes precede it."""
    encoded = base64.b64encode(bytes(before) + value)
    return encoded[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]


class _Search:
    """Finds any of many texts, whatever their case: first by eight bytes, all at once, then by the rest."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._forms: dict[bytes, list[tuple[bytes, Canary]]] = defaultdict(list)
        for canary in canaries:
            for form in forms(canary):
                if len(form) < 8:
                    raise ValueError("a canary this short would be found by chance")
                self._forms[form[:8]].append((form, canary))
        self._heads = np.sort(np.frombuffer(b"".join(self._forms), np.uint64))

    def found_in(self, content: bytes) -> set[Canary]:
        content = content.lower()
        if len(content) < 8:
            return set()
        windows = sliding_window_view(np.frombuffer(content, np.uint8), 8).view(np.uint64)[:, 0]
        nearest = self._heads[np.searchsorted(self._heads, windows).clip(max=len(self._heads) - 1)]
        return {
            canary
            for at in np.flatnonzero(nearest == windows)
            for form, canary in self._forms[content[at : at + 8]]
            if content.startswith(form, at)
        }


def places(root: Path, bundle_keys: Mapping[str, str] = MappingProxyType({})) -> Iterator[Place]:
    """Yield all that can be read below a folder; bundles are opened with the key of the folder they are in."""
    for path in sorted(root.rglob("*")):
        file = path.relative_to(root)
        yield Place(file, "its name", bytes(file))
        if path.is_symlink():
            yield Place(file, "its target", bytes(path.readlink()))
        elif path.is_file():
            content = path.read_bytes()
            yield Place(file, "its bytes", content)
            for relation, rows in _relations(path, content, bundle_keys.get(path.parent.name)):
                yield Place(file, relation, rows)


def _relations(path: Path, content: bytes, key: str | None) -> Iterator[tuple[str, bytes]]:
    """Yield what a file holds that is a database, and what describes it. Its first bytes say so, not its name."""
    if content[8:12] == b"DUCK":
        yield from _of_duckdb(path, key)
    elif content.startswith(b"PAR1"):
        yield from _of_parquet(path)
    elif content.startswith(b"SQLite format 3"):
        yield from _of_sqlite(path)


def _of_duckdb(path: Path, key: str | None) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect() as connection:
        if key:
            load_encryption(connection)
        encryption = f", encryption_key '{key}'" if key else ""
        # a view may read the planes beside its own; one that reads any other fails here, as it should
        for file in sorted({path, *path.parent.glob("*.duckdb")}):
            connection.execute(f"attach '{file}' as \"{file.stem}\" (read_only{encryption})")
        for catalog in CATALOGS:
            yield catalog, _rows(connection, f"select * from {catalog}() where database_name = '{path.stem}'")
        relations = connection.execute(
            "select table_schema, table_name from information_schema.tables where table_catalog = ?", [path.stem]
        )
        for schema, name in relations.fetchall():
            yield name, _rows(connection, f'from "{path.stem}"."{schema}"."{name}"')


def _of_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect() as connection:
        for reader in ("read_parquet", "parquet_schema", "parquet_kv_metadata"):
            yield reader, _rows(connection, f"from {reader}('{path}')")


def _of_sqlite(path: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            yield table, _text(connection.execute(f'select * from "{table}"').fetchall())


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> bytes:
    return _text(connection.execute(f"select columns(*)::varchar from ({query})").fetchall())


def _text(rows: Iterable[Iterable[object]]) -> bytes:
    return "\n".join("\t".join("" if value is None else str(value) for value in row) for row in rows).encode()
