"""Keys are made once, survive everything but their master key, and show themselves to nobody."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quorum.errors import BadInput, QuorumError, Refused
from quorum.keyring import MASTER_KEY_VARIABLE, Keyring, TenantKeys


def master_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def one_line(error: pytest.ExceptionInfo[QuorumError]) -> str:
    message = str(error.value)
    assert message
    assert len(message.splitlines()) == 1
    return message


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    ring = json.loads((directory / "keyring.json").read_text())
    change(ring)
    (directory / "keyring.json").write_text(json.dumps(ring))


@pytest.fixture(autouse=True)
def _no_master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MASTER_KEY_VARIABLE, raising=False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "keyring"


def test_opening_creates_nothing(directory: Path) -> None:
    assert Keyring.open(directory).tenants() == {}
    assert not directory.parent.exists()


def test_keys_are_made_once_and_found_again(directory: Path) -> None:
    keyring = Keyring.open(directory)
    assert keyring.ensure(["acme", "umbrella", "acme"]) == 2
    first = dict(keyring.tenants())
    assert keyring.ensure(["acme"]) == 0
    assert Keyring.open(directory).ensure(iter(["umbrella", "initech"])) == 1
    later = Keyring.open(directory).tenants()
    assert later.keys() == {"acme", "umbrella", "initech"}
    assert {tenant_id: later[tenant_id] for tenant_id in first} == first


def test_nothing_is_shared_between_tenants_or_purposes(directory: Path) -> None:
    keyring = Keyring.open(directory)
    keyring.ensure(f"tenant {number}" for number in range(100))
    everything = [
        value
        for keys in keyring.tenants().values()
        for value in (bytes.fromhex(keys.tenant_key), keys.pseudonym_key, keys.bundle_key)
    ]
    assert len({*everything, keyring.erasure_key()}) == 301


def test_only_the_owner_can_read(directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    (directory / "keyring.json.new").touch(mode=0o644)  # what a killed writer may have left
    Keyring.open(directory).ensure(["acme"])
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()} == {
        "keyring.json": 0o600,
        "development.key": 0o600,
    }


def test_no_secret_is_in_the_file_or_the_repr(directory: Path) -> None:
    keyring = Keyring.open(directory)
    keyring.ensure(["ada@example.com"])
    keys = keyring.tenants()["ada@example.com"]
    file = (directory / "keyring.json").read_text()
    for secret in (keys.pseudonym_key, keys.bundle_key):
        for shown in (secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]):
            assert shown not in file
            assert shown not in repr(keys)
    assert repr(keys) == f"TenantKeys(tenant_key='{keys.tenant_key}')"


def test_twenty_thousand_tenants(directory: Path) -> None:
    keyring = Keyring.open(directory)
    assert keyring.ensure(f"tenant {number}" for number in range(20_000)) == 20_000
    assert Keyring.open(directory).tenants() == keyring.tenants()


def test_keyrings_opened_side_by_side_do_not_lose_keys(directory: Path) -> None:
    keyrings = [Keyring.open(directory) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda at: keyrings[at].ensure(["shared", f"own {at}"]), range(8)))
    assert sum(made) == 9
    kept = Keyring.open(directory).tenants()
    assert kept.keys() == {"shared", *(f"own {at}" for at in range(8))}
    assert all(kept[tenant_id] == keys for ring in keyrings for tenant_id, keys in ring.tenants().items())


def test_a_crash_leaves_the_old_ring(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring.open(directory)
    keyring.ensure(["acme"])
    before = dict(keyring.tenants())

    def die(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as crash:
        crash.setattr(Path, "replace", die)
        with pytest.raises(InterruptedError):
            keyring.ensure(["umbrella"])
    assert keyring.tenants() == Keyring.open(directory).tenants() == before
    assert keyring.ensure(["umbrella"]) == 1
    assert keyring.tenants()["acme"] == before["acme"]


def test_the_master_key_comes_from_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASTER_KEY_VARIABLE, master_key())
    keyring = Keyring.open(directory)
    keyring.ensure(["acme"])
    assert not keyring.development
    assert [file.name for file in directory.iterdir()] == ["keyring.json"]
    assert Keyring.open(directory).tenants() == keyring.tenants()


def test_without_one_a_development_key_says_so(directory: Path) -> None:
    keyring = Keyring.open(directory)
    keyring.ensure(["acme"])
    assert keyring.development
    assert Keyring.open(directory).development


@pytest.mark.parametrize("length", [0, 1, 16, 31, 33, 64])
def test_a_master_key_of_another_length(length: int, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value = base64.b64encode(b"k" * length).decode()
    monkeypatch.setenv(MASTER_KEY_VARIABLE, value)
    with pytest.raises(BadInput) as error:
        Keyring.open(directory)
    message = one_line(error)
    assert MASTER_KEY_VARIABLE in message
    assert not value or value not in message


@pytest.mark.parametrize("value", ["correct horse battery staple", "é" * 44, "A" * 43 + "=\n", "k" * 32])
def test_a_master_key_that_is_not_base64(value: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASTER_KEY_VARIABLE, value)
    with pytest.raises(BadInput) as error:
        Keyring.open(directory)
    assert value.strip() not in one_line(error)


def test_a_damaged_development_key(directory: Path) -> None:
    Keyring.open(directory).ensure(["acme"])
    (directory / "development.key").write_bytes(b"\xff")
    with pytest.raises(BadInput, match="development") as error:
        Keyring.open(directory)
    one_line(error)


@pytest.mark.parametrize("first", [None, master_key()], ids=["development", "environment"])
def test_another_master_key_is_refused(first: str | None, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if first:
        monkeypatch.setenv(MASTER_KEY_VARIABLE, first)
    keyring = Keyring.open(directory)
    keyring.ensure(["acme"])
    before = (directory / "keyring.json").read_bytes()
    monkeypatch.setenv(MASTER_KEY_VARIABLE, master_key())
    with pytest.raises(Refused, match="another master key") as error:
        Keyring.open(directory)
    one_line(error)
    with pytest.raises(Refused, match="another master key"):
        keyring.ensure(["umbrella"])
    assert (directory / "keyring.json").read_bytes() == before


def test_a_missing_master_key_is_refused_and_not_made_anew(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as production:
        production.setenv(MASTER_KEY_VARIABLE, master_key())
        Keyring.open(directory).ensure(["acme"])
    with pytest.raises(Refused, match=MASTER_KEY_VARIABLE) as error:
        Keyring.open(directory)
    one_line(error)
    assert not (directory / "development.key").exists()


def swap_secrets(ring: dict[str, Any]) -> None:
    one, other = ring["tenants"]
    one["pseudonym_keys"], other["pseudonym_keys"] = other["pseudonym_keys"], one["pseudonym_keys"]


def swap_purposes(ring: dict[str, Any]) -> None:
    keys = ring["tenants"][0]
    keys["pseudonym_keys"][0], keys["bundle_key"] = keys["bundle_key"], keys["pseudonym_keys"][0]


def swap_names(ring: dict[str, Any]) -> None:
    one, other = ring["tenants"]
    one["tenant_key"], other["tenant_key"] = other["tenant_key"], one["tenant_key"]


@pytest.mark.parametrize(
    "change",
    [
        swap_secrets,
        swap_purposes,
        swap_names,
        lambda ring: ring["tenants"][0].update(tenant_id="umbrella corporation"),
        lambda ring: ring["tenants"][0].update(epoch=2),
        lambda ring: ring["tenants"][0].update(bundle_key="*"),
        lambda ring: ring["tenants"][0].update(bundle_key=None),
        lambda ring: ring["tenants"][0].pop("tenant_key"),
        lambda ring: ring.update(tenants=7),
        lambda ring: ring.pop("key_check"),
        lambda ring: ring.pop("version"),
    ],
)
def test_a_ring_that_was_tampered_with(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    Keyring.open(directory).ensure(["acme", "umbrella"])
    edit(directory, lambda ring: None)
    assert len(Keyring.open(directory).tenants()) == 2
    edit(directory, change)
    with pytest.raises(Refused, match="damaged") as error:
        Keyring.open(directory)
    assert "umbrella" not in one_line(error)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe"])
def test_a_ring_that_is_no_ring(directory: Path, content: bytes) -> None:
    Keyring.open(directory).ensure(["acme"])
    (directory / "keyring.json").write_bytes(content)
    with pytest.raises(Refused, match="damaged") as error:
        Keyring.open(directory)
    one_line(error)


def test_a_ring_of_a_later_version(directory: Path) -> None:
    Keyring.open(directory).ensure(["acme"])
    edit(directory, lambda ring: ring.update(version=3))
    with pytest.raises(Refused, match="version") as error:
        Keyring.open(directory)
    one_line(error)


def test_a_blank_tenant_gets_no_keys(directory: Path) -> None:
    with pytest.raises(BadInput):
        Keyring.open(directory).ensure(["acme", " "])
    assert not directory.exists()


def test_the_bundle_key_for_duckdb(directory: Path) -> None:
    keyring = Keyring.open(directory)
    keyring.ensure(["acme"])
    assert base64.b64decode(keyring.bundle_key("acme")) == keyring.tenants()["acme"].bundle_key
    with pytest.raises(BadInput) as error:
        keyring.bundle_key("ada@example.com")
    assert "ada" not in one_line(error)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant_key": "../../etc"},
        {"tenant_key": "A" * 32},
        {"pseudonym_keys": ()},
        {"pseudonym_keys": (b"short",)},
        {"bundle_key": b"short"},
    ],
)
def test_keys_are_validated(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|epochs"):
        replace(TenantKeys.generate("acme"), **wrong)


def test_the_command_line_does_not_pay_for_dbt() -> None:
    code = "import sys, quorum.keyring; sys.exit(any(name.split('.')[0] == 'dbt' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
