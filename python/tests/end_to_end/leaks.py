"""A search for values that must not stand anywhere outside the restricted plane.

It reads what a person could read: the bytes and the name of every file, and every relation of every database and
Parquet file. DuckDB compresses text (FSST), so the bytes of its files prove nothing and its rows are read too.
"""

import io
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa

from quorum.encryption import load_encryption
from tests.end_to_end.multi_search import MultiSearch
from tests.end_to_end.spellings import Canary, spellings

CATALOGS = ("duckdb_tables", "duckdb_views", "duckdb_columns", "duckdb_schemas", "duckdb_functions", "duckdb_types")


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
    search = _search(frozenset(canaries))
    return {Leak(each.file, each.part, canary) for each in places for canary in search.found_in(each.content)}


@cache
def _search(canaries: frozenset[Canary]) -> MultiSearch[Canary]:
    return MultiSearch(spellings(canaries))


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
            for member, unpacked in _unpacked(content):
                yield Place(file, member, unpacked)
            for relation, rows in _relations(path, content, bundle_keys.get(path.parent.name)):
                yield Place(file, relation, rows)


def _unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what a compressed file holds; of one that is cut short, what can be read."""
    if content.startswith(b"\x1f\x8b"):
        yield "unpacked", zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield member, member.encode() + archive.read(member)
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        yield "unpacked", pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()


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
