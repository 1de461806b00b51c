"""The scan finds a planted canary in each kind of place and in each spelling: else that it finds none means nothing."""

import base64
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from quorum.encryption import load_encryption
from tests.end_to_end.leaks import leaks, places

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


def in_parquet(file: Path, value: str = "", meaning: str = "") -> None:
    with duckdb.connect() as connection:
        query = f"select '{value}' || i as v from range(99) as r(i)"
        connection.execute(
            f"copy ({query}) to '{file}' (format parquet, compression zstd, kv_metadata {{v: '{meaning}'}})"
        )


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
