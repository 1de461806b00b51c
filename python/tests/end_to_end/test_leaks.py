"""The scan finds a planted canary in each kind of place and in each spelling: else that it finds none means nothing."""

import base64
import gzip
import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.encryption import load_encryption
from tests.end_to_end.canaries import ENCODINGS, KINDS
from tests.end_to_end.leaks import leaks, places
from tests.end_to_end.multi_search import CHUNK, MultiSearch
from tests.end_to_end.spellings import LONG_ENOUGH

CANARY = "José.Canary@leak.example"
KEY = bytes(range(190, 222))


def in_duckdb(file: Path, *statements: str, options: str = "") -> None:
    with duckdb.connect() as connection:
        load_encryption(connection)
        connection.execute(f"attach '{file}' as planes {options}")
        connection.execute("use planes")
        for statement in statements:
            connection.execute(statement)


def in_sqlite(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("create table entries as select ? as record", ["x" * 5000 + CANARY])


def in_parquet(file: Path, value: str = "", meaning: str = "", name: str = "v") -> None:
    with duckdb.connect() as connection:
        query = f"select '{value}' || i as \"{name}\" from range(99) as r(i)"
        connection.execute(
            f"copy ({query}) to '{file}' (format parquet, compression zstd, kv_metadata {{v: '{meaning}'}})"
        )


def in_zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", "x" * 999 + CANARY)


def in_zstd(file: Path) -> None:
    with pa.CompressedOutputStream(str(file), "zstd") as stream:
        stream.write(b"x" * 999 + CANARY.encode())


def in_free_page(file: Path) -> None:
    """Leave the value on a page that no relation has any longer: only the bytes of the file still tell."""
    value = f"'{CANARY}' || repeat('x', 300) || i as v from range(2000) as r(i)"
    kept = "create table u as select repeat('y', 300) || i as v from range(9000) as r(i)"
    plain = "set force_compression = 'uncompressed'"
    in_duckdb(file, plain, f"create table t as select {value}", "checkpoint", kept, "checkpoint", "drop table t")
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("select table_name from duckdb_tables()").fetchall() == [("u",)]


def text(file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8")


BUNDLE_KEY = base64.b64encode(KEY).decode()
REPEATED = f"create table t as select '{CANARY}' || i % 9 as v, [{{'x': i}}] as w from range(99999) as r(i)"
PLACES: dict[str, Callable[[Path], object]] = {
    "table": lambda root: in_duckdb(root / "tenant.duckdb", REPEATED),
    "nested value": lambda root: in_duckdb(
        root / "tenant.duckdb", f"create table t as select [{{'x': '{CANARY}'}}] as v"
    ),
    "view": lambda root: in_duckdb(
        root / "tenant.duckdb",
        f"create table t as select '{CANARY[::-1]}' as v",
        "create view u as select reverse(v) as v from t",
    ),
    "comment": lambda root: in_duckdb(
        root / "tenant.duckdb", "create table t as select 1 as v", f"comment on column t.v is '{CANARY}'"
    ),
    "name of a column": lambda root: in_duckdb(root / "tenant.duckdb", f'create table t as select 1 as "{CANARY}"'),
    "macro": lambda root: in_duckdb(root / "tenant.duckdb", f"create macro m() as '{CANARY}'"),
    "file of another name": lambda root: in_duckdb(root / "tenant.bak", REPEATED),
    "key in a table": lambda root: in_duckdb(
        root / "tenant.duckdb", f"create table t as select unhex('{KEY.hex()}') as v from range(99999)"
    ),
    "encrypted bundle": lambda root: in_duckdb(
        root / "bundle.duckdb", REPEATED, options=f"(encryption_key '{BUNDLE_KEY}')"
    ),
    "SQLite": lambda root: in_sqlite(root / "ledger.db"),
    "Parquet rows": lambda root: in_parquet(root / "mart.parquet", value=CANARY),
    "Parquet metadata": lambda root: in_parquet(root / "mart.parquet", meaning=CANARY),
    "log": lambda root: text(root / "dbt.log", f"12:00 could not cast '{CANARY}' to INT32"),
    "JSON": lambda root: text(root / "manifest.json", json.dumps({"rows": {CANARY: 1}})),
    "gzip": lambda root: (root / "dbt.log.gz").write_bytes(gzip.compress(b"x" * 999 + CANARY.encode())),
    "gzip, cut short": lambda root: (root / "1.gz").write_bytes(gzip.compress(b"x" * 999 + CANARY.encode())[:-8]),
    "zip": lambda root: in_zip(root / "bundle.zip"),
    "zstd": lambda root: in_zstd(root / "rows.zst"),
    "free page of a database": lambda root: in_free_page(root / "tenant.duckdb"),
    "log of what is not yet in a database": lambda root: text(root / "tenant.duckdb.wal", f"\x01\x02{CANARY}\x03"),
    "name of a relation": lambda root: in_duckdb(root / "tenant.duckdb", f'create table "{CANARY}" as select 1 as v'),
    "comment on a relation": lambda root: in_duckdb(
        root / "tenant.duckdb", "create table t as select 1 as v", f"comment on table t is '{CANARY}'"
    ),
    "default of a column": lambda root: in_duckdb(
        root / "tenant.duckdb", f"create table t (v varchar default '{CANARY}')"
    ),
    "name of a Parquet column": lambda root: in_parquet(root / "mart.parquet", name=CANARY),
    "name of a file": lambda root: text(root / f"{CANARY}.json", "{}"),
    "name of a folder": lambda root: (root / f"tenant={quote(CANARY)}").mkdir(),
    "symbolic link": lambda root: (root / "current").symlink_to(CANARY),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_scan_looks_at(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "tenant_key"
    folder.mkdir()
    PLACES[place](folder)
    keys = {"tenant_key": BUNDLE_KEY} if "bundle" in place else {}
    assert leaks([CANARY, KEY], places(tmp_path, keys))
    assert not leaks(["someone.else@leak.example", KEY[::-1]], places(tmp_path, keys))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "encoded for a URL": lambda value: quote(value, safe=""),
    "escaped as JSON": json.dumps,
    "hex": lambda value: value.encode().hex(),
    "base64": lambda value: base64.b64encode(f"user {value}, thanks".encode()).decode(),
    "base64, one byte on": lambda value: base64.b64encode(f"users {value}, thanks".encode()).decode(),
    "base64, two bytes on": lambda value: base64.b64encode(f"a user {value}, thanks".encode()).decode(),
    "MD5": lambda value: hashlib.md5(value.encode(), usedforsecurity=False).hexdigest(),
    "SHA-1": lambda value: hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest(),
    "SHA-256 of lower case, cut short": lambda value: hashlib.sha256(value.lower().encode()).hexdigest()[:32],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_scan_reads(spelling: str, tmp_path: Path) -> None:
    text(tmp_path / "log", f"x{SPELLINGS[spelling](CANARY)}y")
    assert leaks([CANARY], places(tmp_path))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_scan_reads_each_kind_in(encoding: str, tmp_path: Path) -> None:
    """What is planted, in every encoding in which it is, and in a line of JSON around that."""
    values = {kind: make(number) for number, (kind, make) in enumerate(KINDS.items(), start=700)}
    for kind, value in values.items():
        encoded = ENCODINGS[encoding](value)
        text(tmp_path / f"{kind} as it is", f"x{encoded}y")
        text(tmp_path / f"{kind} in JSON", json.dumps({"v": encoded}))
        text(tmp_path / f"{kind} cut short", ENCODINGS[encoding](value[:LONG_ENOUGH]))
    found = {(leak.file.name.rsplit(" ", 2)[0], leak.canary) for leak in leaks(values.values(), places(tmp_path))}
    assert {canary for _, canary in found} == set(values.values())
    by_file = {leak.file.name for leak in leaks(values.values(), places(tmp_path))}
    assert by_file == {path.name for path in tmp_path.iterdir()}


def test_the_beginning_of_two_values_is_no_leak_of_either(tmp_path: Path) -> None:
    text(tmp_path / "log", "https://leak.example/")
    assert not leaks(["https://leak.example/1", "https://leak.example/2"], places(tmp_path))


@given(st.lists(st.binary(min_size=8, max_size=20), min_size=1, max_size=20), st.binary(max_size=60), st.data())
def test_the_search_finds_what_bytes_themselves_find(forms: list[bytes], content: bytes, data: st.DataObject) -> None:
    content += data.draw(st.sampled_from(forms)) + data.draw(st.binary(max_size=20))
    lowered = [(form.lower(), form) for form in forms]
    assert MultiSearch(lowered).found_in(content) == {form for low, form in lowered if low in content.lower()}


def test_the_search_finds_what_lies_across_its_pieces() -> None:
    search = MultiSearch([(b"canary-1", 1)])
    for at in range(CHUNK - 9, CHUNK + 2):
        assert search.found_in(bytes(at) + b"canary-1") == {1}
