"""What the SQL of a pseudonym gives: the HMAC of the RFC, a chain of it over key epochs, nothing to be guessed."""

import hmac
import unicodedata
from collections.abc import Callable, Iterator

import duckdb
import pytest

from quorum.keyring import Keyring, TenantKeys, pads
from quorum.keyring_plugin import Plugin
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.test_keyring_plugin import RFC_4231

USERS = 10_000
TENANTS = ("acme", "umbrella")

Rendered = Callable[[str], str]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Let dbt put macros into SQL, as it does for a model."""
    workspace = Workspace(tmp_path_factory.mktemp("rendered"))
    workspace.landing.mkdir()
    workspace.prepare()
    dbt = Dbt(workspace)
    dbt.manifest()

    def compiled(text: str) -> str:
        outcome = dbt._invoke("compile", ["--inline", text, "--target", "tenant"])
        return str(outcome.results[0].node.compiled_code)

    return compiled


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Two tenants at the first epoch, and one that was rotated three times."""
    keyring = Keyring.open(tmp_path_factory.mktemp("keyring"))
    keyring.ensure([*TENANTS, "rotated"])
    for _ in range(3):
        keyring.rotate(["rotated"])
    return keyring


@pytest.fixture
def connection(keyring: Keyring) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        Plugin("keyring", {"directory": str(keyring._directory)}).configure_connection(connection)
        yield connection


def token(keys: TenantKeys, value: str) -> str:
    first, *further = keys.pseudonym_keys
    found = hmac.digest(first, f"user:{unicodedata.normalize('NFC', value.lower().strip())}".encode(), "sha256").hex()
    for key in further:
        found = hmac.digest(key, found[:32].encode(), "sha256").hex()
    return found[:32]


def test_rfc_4231_through_the_macro(rendered: Rendered, connection: duckdb.DuckDBPyConnection) -> None:
    """Those vectors whose message is text, as an identifier is."""
    query = rendered("select {{ hmac_sha256('$inner_pad::blob', '$outer_pad::blob', '$message') }}")
    texts = 0
    for key, message, expected in RFC_4231:
        if message.isascii():
            texts += 1
            given = dict(zip(("inner_pad", "outer_pad"), pads(key), strict=True)) | {"message": message.decode()}
            [(found,)] = connection.execute(query, given).fetchall()
            assert found[: len(expected)] == expected
    assert texts == 5


def test_a_token_is_carried_through_every_epoch(
    rendered: Rendered, keyring: Keyring, connection: duckdb.DuckDBPyConnection
) -> None:
    macro = "{{ tokenise('users.id', 'user') }}"
    query = rendered(f"select tenant_id, id, {macro} from keyring.main.tenant_keys cross join users order by all")
    spellings = ["Ada@Example.com ", "jose\u0301", "JOS\u00c9", "\u212b", "7", ""]
    connection.execute("create table users (id varchar)")
    connection.executemany("insert into users values (?)", [[each] for each in spellings])
    found = connection.execute(query).fetchall()
    assert len(found) == 3 * len(spellings)
    for tenant_id, value, pseudonym in found:
        assert pseudonym == token(keyring.of(tenant_id), value), (tenant_id, value)
    connection.execute("update users set id = null")
    assert {pseudonym for _, _, pseudonym in connection.execute(query).fetchall()} == {None}


def test_ten_thousand_users_of_two_tenants_share_no_token(
    rendered: Rendered, connection: duckdb.DuckDBPyConnection
) -> None:
    macro = "{{ tokenise(\"'user' || n || '@example.com'\", 'user') }}"
    tokens = rendered(f"select {macro} as token from keyring.main.tenant_keys cross join range({USERS}) as users(n)")
    [(found, length)] = connection.execute(
        f"select count(distinct token), min(length(token)) from ({tokens})"
    ).fetchall()
    assert (found, length) == (3 * USERS, 32)


@pytest.mark.parametrize("guesses", [100_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_what_is_guessed_matches_nothing_without_the_key(
    guesses: int, rendered: Rendered, keyring: Keyring, connection: duckdb.DuckDBPyConnection
) -> None:
    """Each real user is among the guesses, and only the key tells which."""
    connection.execute(
        f"create table guesses as select 'user' || n || '@example.com' as id from range({guesses}) as n(n) "
        "union all select '10.7.' || a || '.' || b from range(256) as a(a), range(256) as b(b)"
    )
    connection.execute("create table users as select id from guesses where hash(id) % 50 = 0")
    macro = "{{ tokenise('users.id', 'user') }}"
    tokens = rendered(f"select tenant_id, {macro} as token from keyring.main.tenant_keys cross join users")
    connection.execute(f"create table tokens as {tokens}")
    [(users,)] = connection.execute("select count(*) from users").fetchall()
    assert users > 2000

    def matches(guess: str, *tenants: str, among: str = "guesses") -> int:
        known = "select token from tokens where tenant_id in (select unnest(?))"
        query = f"select count(*) from ({known}) where token in (select left({guess}, 32) from {among})"
        [(found,)] = connection.execute(query, [list(tenants or TENANTS)]).fetchall()
        return int(found)

    def hashed(key: bytes) -> str:
        inner, outer = (f"from_hex('{pad.hex()}')" for pad in pads(key))
        return rendered(f'{{{{ hmac_sha256("{inner}", "{outer}", "\'user:\' || id") }}}}')

    acme, rotated = keyring.of("acme"), keyring.of("rotated")
    assert matches(hashed(acme.pseudonym_key), "acme", among="users") == users, "with the key, every one is found"
    for guess in ("sha256(id)", "sha256('user:' || id)", "md5('user:' || id)", "sha1('user:' || id)", "id"):
        assert matches(guess) == 0, guess
    assert matches(hashed(acme.pseudonym_key), "umbrella") == 0
    for wrong in (bytes(32), acme.tenant_key.encode()):
        assert matches(hashed(wrong)) == 0
    assert matches(hashed(rotated.pseudonym_keys[0]), "rotated") == 0, "a key from before the rotation"
