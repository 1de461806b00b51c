"""SQL gets the keys from memory; no file that dbt or DuckDB writes ever holds one."""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.keyring import MASTER_KEY_VARIABLE, Keyring, pads
from quorum.keyring_plugin import Plugin

# RFC 4231, test cases 1 to 7: key, message, HMAC-SHA-256. Case 5 is published truncated to 128 bits.
RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]


EMAIL = "ada@example.com"
MODELS = 4

PROJECT = """
name: mini
version: 1.0.0
profile: mini
flags: {send_anonymous_usage_stats: false}
models: {mini: {+materialized: table}}
"""

PROFILES = """
mini:
  target: tenant
  outputs:
    tenant: &base
      type: duckdb
      path: tenant.duckdb
      threads: 4
      config_options: {force_compression: uncompressed}  # or the search sees nothing
      plugins: [{module: quorum.keyring_plugin, config: {directory: workspace/keyring}}]
    cross_tenant:
      <<: *base
      path: cross_tenant.duckdb
      attach: [{path: tenant.duckdb, read_only: true}]
"""

SOURCES = """
sources:
  - name: keyring
    database: keyring
    schema: main
    tables: [{name: tenant_keys}]
"""

MODEL = f"""
select tenant_key, left(sha256(outer_pad || unhex(sha256(inner_pad || encode('{EMAIL}')))), 32) as token
from {{{{ source('keyring', 'tenant_keys') }}}}
"""

INVOKE = """
import sys
from dbt.cli.main import dbtRunner
runner = dbtRunner()
for arguments in (["build", "--debug"], ["build", "--target", "cross_tenant"], ["docs", "generate"]):
    result = runner.invoke([*arguments, "--profiles-dir", "."])
    if not result.success:
        sys.exit(f"{arguments} failed: {result.exception}")
"""


@pytest.fixture(autouse=True)
def _no_master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MASTER_KEY_VARIABLE, raising=False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "keyring"


def configure(conn: duckdb.DuckDBPyConnection, directory: Path) -> None:
    Plugin("keyring", {"directory": str(directory)}).configure_connection(conn)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def forms(secret: bytes) -> Iterator[bytes]:
    """Spell a secret the ways that files, logs and DuckDB would."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield base64.b64encode(secret).rstrip(b"=")
    yield repr(secret)[2:-1].encode()
    row = duckdb.execute("select $secret::blob::varchar", {"secret": secret}).fetchone()
    assert row is not None
    yield row[0].encode()


def leaks(root: Path, secrets: list[bytes]) -> list[str]:
    spellings = [form for secret in secrets for form in forms(secret)]
    return [path.name for path in files(root) if any(form in path.read_bytes() for form in spellings)]


@settings(deadline=None)
@given(key=st.binary(max_size=200), message=st.binary(max_size=200))
def test_pads_make_hmac(key: bytes, message: bytes) -> None:
    inner, outer = pads(key)
    assert len(inner) == len(outer) == 64
    twice = hashlib.sha256(outer + hashlib.sha256(inner + message).digest()).digest()
    assert twice == hmac.digest(key, message, "sha256")


@pytest.mark.parametrize(("key", "message", "expected"), RFC_4231, ids=range(1, 8))
def test_rfc_4231_in_sql(key: bytes, message: bytes, expected: str) -> None:
    inner, outer = pads(key)
    sql = "select sha256($outer::blob || unhex(sha256($inner::blob || $message::blob)))"
    row = duckdb.execute(sql, {"inner": inner, "outer": outer, "message": message}).fetchone()
    assert row is not None
    assert row[0][: len(expected)] == expected


def test_an_untouched_workspace_has_an_empty_table(directory: Path) -> None:
    with duckdb.connect() as conn:
        configure(conn, directory)
        assert conn.execute("from keyring.main.tenant_keys").fetchall() == []
        assert conn.execute("from keyring.main.erasure_key").fetchall() == []
        columns = conn.execute(
            "select table_name, column_name, data_type from duckdb_columns() "
            "where database_name = 'keyring' order by all"
        ).fetchall()
    assert columns == [
        ("erasure_key", "inner_pad", "BLOB"),
        ("erasure_key", "outer_pad", "BLOB"),
        ("tenant_keys", "further_pads", "STRUCT(inner_pad BLOB, outer_pad BLOB)[]"),
        ("tenant_keys", "inner_pad", "BLOB"),
        ("tenant_keys", "key_epoch", "INTEGER"),
        ("tenant_keys", "outer_pad", "BLOB"),
        ("tenant_keys", "tenant_id", "VARCHAR"),
        ("tenant_keys", "tenant_key", "VARCHAR"),
    ]
    assert not directory.parent.exists()


def test_the_table_follows_the_keyring(directory: Path) -> None:
    keyring = Keyring.open(directory)
    with duckdb.connect() as conn:
        for tenant_id in ("acme", "' drop table --"):
            keyring.ensure([tenant_id])
            keyring.rotate(["acme"])
            configure(conn, directory)
            rows = conn.cursor().execute("from keyring.main.tenant_keys").fetchall()
            expected = []
            for keys in keyring.tenants().values():
                first, *further = map(pads, keys.pseudonym_keys)
                chain = [{"inner_pad": inner, "outer_pad": outer} for inner, outer in further]
                expected.append((keys.tenant_id, keys.tenant_key, keys.epoch, *first, chain))
            assert sorted(rows) == sorted(expected)
            assert conn.execute("from keyring.main.erasure_key").fetchall() == [pads(keyring.erasure_key())]
        assert sorted(keys.epoch for keys in keyring.tenants().values()) == [1, 3]


def test_a_wrong_master_key_is_one_line(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Keyring.open(directory).ensure(["acme"])
    monkeypatch.setenv(MASTER_KEY_VARIABLE, base64.b64encode(os.urandom(32)).decode())
    with duckdb.connect() as conn, pytest.raises(RuntimeError, match="another master key") as error:
        configure(conn, directory)
    assert len(str(error.value).splitlines()) == 1


def test_a_profile_without_a_directory() -> None:
    with pytest.raises(RuntimeError, match="directory"):
        Plugin("keyring", {})


@pytest.mark.parametrize("encrypted", [True, False], ids=["guarded", "planted bug"])
def test_what_spills_cannot_be_read(
    encrypted: bool, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not encrypted:
        monkeypatch.setattr("quorum.keyring_plugin.encrypt_spill_files", lambda conn: None)
    spill = tmp_path / "spill"
    with duckdb.connect() as conn:
        conn.execute(f"set temp_directory = '{spill}'; set memory_limit = '40MB'; set threads = 2")
        configure(conn, directory)
        conn.execute("create table keyring.main.wide as select 'a canary, ' || i from range(2_000_000) t(i)")
        spilt = b"".join(path.read_bytes() for path in files(spill))
    assert len(spilt) > 1_000_000
    assert (b"a canary, 1" in spilt) is not encrypted


def test_dbt_builds_tokens_and_writes_no_key(tmp_path: Path, directory: Path) -> None:
    keyring = Keyring.open(directory)
    keyring.ensure(["acme", "umbrella", "initech"])
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "profiles.yml").write_text(PROFILES)
    (tmp_path / "models" / "sources.yml").write_text(SOURCES)
    for number in range(MODELS):
        (tmp_path / "models" / f"tokens_{number}.sql").write_text(MODEL)
    dbt = subprocess.run([sys.executable, "-c", INVOKE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert dbt.returncode == 0, dbt.stderr
    (tmp_path / "output.txt").write_text(dbt.stdout + dbt.stderr)

    expected = sorted(
        (keys.tenant_key, hmac.digest(keys.pseudonym_key, EMAIL.encode(), "sha256").hex()[:32])
        for keys in keyring.tenants().values()
    )
    for database in ("tenant.duckdb", "cross_tenant.duckdb"):
        with duckdb.connect(str(tmp_path / database), read_only=True) as conn:
            for number in range(MODELS):
                assert conn.execute(f"from tokens_{number} order by all").fetchall() == expected

    written = {path.relative_to(tmp_path).parts[0] for path in files(tmp_path)}
    assert written >= {"target", "logs", "tenant.duckdb", "cross_tenant.duckdb", "output.txt"}
    tenants = list(keyring.tenants().values())
    secrets = [secret for keys in tenants for secret in (keys.pseudonym_key, keys.bundle_key)]
    secrets += [pad for keys in tenants for pad in pads(keys.pseudonym_key)]
    assert leaks(tmp_path, secrets) == []

    # Planted bugs, to see that the search finds what it looks for.
    (tmp_path / "logs" / "planted.log").write_text(f"inner_pad = {secrets[-1]!r}")
    with duckdb.connect(str(tmp_path / "planted.duckdb")) as conn:
        conn.execute("create table t as select ?::blob as pad from range(100000)", [secrets[-2]])
    with duckdb.connect(str(tmp_path / "planted_too.duckdb")) as conn:
        conn.execute("create table t as select hex(?::blob) as pad", [secrets[0]])
    assert sorted(leaks(tmp_path, secrets)) == ["planted.duckdb", "planted.log", "planted_too.duckdb"]
