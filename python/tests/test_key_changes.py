"""Keys that change: rotated they keep their past, shredded they are gone, and a new master key takes over whole."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quorum.errors import BadInput, Refused
from quorum.keyring import MASTER_KEY_VARIABLE, NEW_MASTER_KEY_VARIABLE, Keyring

# A ring of format 1, the tenant keys and secrets that it holds, and the master key that wraps them: 0, 1, 2, ... 31.
MASTER_OF_1 = bytes(range(32))
RING_1 = """{"version": 1, "key_check": "wMC84PfecfhuW8ctJCp6Fio3EqtdwfOjLBMfCg==", "tenants": [
{"tenant_id": "umbrella", "tenant_key": "904fc8ba12108abafc1d72f42b656734", "epoch": 1,
"pseudonym_key": "FD27XazeOcw/hu2HwqVK+9TcMRHBi4hz9C/wsBHiZMyWCjK64wKavenRSEWeQwXK3H5YoG5TOUwv5KY4",
"bundle_key": "5Cu+tMed8UQI79i+DJNTuxsIxt8Cq8orBLpsNC0ndggiWgY/9RohWKTQ3GtVwLADsi+vJ1jpre3bCiQt"},
{"tenant_id": "acme", "tenant_key": "abf653ee66606655e9600f8e6fa2ba46", "epoch": 1,
"pseudonym_key": "kXpOj2HQqYe8sY/it0K8TN9/+1aavp5iPbliYcOJd2p7Xarj5LU5s01NF/dYG6qG6E5Akswr4rxO+/nm",
"bundle_key": "siBCZMmMH0WJfCuSa1NLkbJgzD2Y1y02On63qPy1neCO7McjjY5I3yDmVpm2EXEWjmLCIomvo816PAsc"}]}"""
HELD_BY_1 = {
    "umbrella": (
        "904fc8ba12108abafc1d72f42b656734",
        "d1b07da4e0243cbdea6f91deeb375954e5944a2cdc4f83f6b30fcce1db6678f2",
        "7c5b7b9eeea78d52c245953e3ea03b0b6e64439ef5592404cef492cb5ccfa0b8",
    ),
    "acme": (
        "abf653ee66606655e9600f8e6fa2ba46",
        "f101be1b9c1a68fc58a0fb84db40f20b8f993a3b4ce01118dd8318c72f194275",
        "595214310873649f05fc6ea10938189ebc1660ec3850c6884e1e212687c47c3c",
    ),
}

# Rewraps the ring, and dies where it would call one function.
DIES_AT = """
import os, signal, sys
from pathlib import Path
from unittest import mock
from quorum.keyring import Keyring
with mock.patch(sys.argv[1], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
    Keyring.rewrap(Path(sys.argv[2]))
"""


def wrapped_keys(directory: Path, tenant_id: str) -> list[str]:
    """Return the wrapped pseudonym keys of a tenant."""
    ring = json.loads((directory / "keyring.json").read_text())
    [found] = [record["pseudonym_keys"] for record in ring["tenants"] if record["tenant_id"] == tenant_id]
    return list(found)


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_to(key: bytes | None, new: bytes | None = None) -> None:
        for name, value in ((MASTER_KEY_VARIABLE, key), (NEW_MASTER_KEY_VARIABLE, new)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, encoded(value))

    set_to(None)
    return set_to


@pytest.fixture
def keyring(tmp_path: Path, master: Callable[..., None]) -> Keyring:
    keyring = Keyring.open(tmp_path / "keyring")
    keyring.ensure(["acme", "umbrella"])
    return keyring


@pytest.fixture
def directory(keyring: Keyring, tmp_path: Path) -> Path:
    return tmp_path / "keyring"


class TestRotation:
    def test_it_adds_a_key_and_keeps_the_others(self, keyring: Keyring, directory: Path) -> None:
        first, other = (keyring.of(tenant_id) for tenant_id in ("acme", "umbrella"))
        erasure_key = keyring.erasure_key()
        for epoch in (2, 3):
            [keys] = keyring.rotate(["acme"])
            assert keys.epoch == epoch
            assert keys.tenant_key == first.tenant_key
        found = Keyring.open(directory)
        assert found.of("acme") == keys
        assert keys.pseudonym_keys[0] == first.pseudonym_key
        assert len({*keys.pseudonym_keys, keys.bundle_key, first.bundle_key}) == 5
        assert found.of("umbrella") == other
        assert found.erasure_key() == erasure_key

    def test_nobody_rotates_half_of_what_was_asked(self, keyring: Keyring, directory: Path) -> None:
        before = (directory / "keyring.json").read_bytes()
        with pytest.raises(BadInput, match="no keys") as error:
            keyring.rotate(["acme", "ada@example.com"])
        assert "ada" not in str(error.value)
        assert (directory / "keyring.json").read_bytes() == before

    def test_rings_opened_side_by_side_count_every_epoch(self, keyring: Keyring, directory: Path) -> None:
        rings = [Keyring.open(directory) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda ring: ring.rotate(["acme"]), rings))
        found = Keyring.open(directory).of("acme")
        assert found.epoch == len(set(found.pseudonym_keys)) == 9


class TestShredding:
    def test_nothing_of_it_is_left(self, keyring: Keyring, directory: Path) -> None:
        keyring.rotate(["acme"])
        old, other = keyring.of("acme"), keyring.of("umbrella")
        (directory / "keyring.json.new").write_text((directory / "keyring.json").read_text())  # from a killed writer
        for number, name in enumerate(("keyring.json", "keyring.json.new")):
            os.link(directory / name, directory.with_name(f"blocks {number}"))  # the disk blocks, unlinked or not
        wrapped = wrapped_keys(directory, "acme")
        shredded = keyring.shred("acme")
        assert (shredded.tenant_key, shredded.epoch) == (old.tenant_key, 2)
        found = Keyring.open(directory)
        assert dict(found.tenants()) == {"umbrella": other}
        assert found.shredded() == (shredded,)
        for file in (directory / "keyring.json", *directory.parent.glob("blocks *")):
            content = file.read_bytes()
            assert not any(each.encode() in content for each in (*wrapped, "acme"))
        with pytest.raises(BadInput, match="no keys"):
            keyring.shred("acme")

    def test_a_tenant_that_comes_back_is_another(self, keyring: Keyring) -> None:
        old = keyring.of("acme")
        keyring.shred("acme")
        assert keyring.ensure(["acme"]) == 1
        new = keyring.of("acme")
        assert {new.tenant_key, new.pseudonym_key, new.bundle_key}.isdisjoint(
            {old.tenant_key, old.pseudonym_key, old.bundle_key}
        )
        assert [each.tenant_key for each in keyring.shredded()] == [old.tenant_key]

    def test_a_reader_finds_the_old_ring_or_the_new_one(self, keyring: Keyring, directory: Path) -> None:
        tenants = [f"tenant {number}" for number in range(40)]
        keyring.ensure(tenants)
        with ThreadPoolExecutor(1) as pool:
            shredding = pool.submit(lambda: [keyring.shred(tenant) for tenant in tenants])
            while not shredding.done():
                assert 2 <= len(Keyring.open(directory).tenants()) <= 42
            shredding.result()

    @pytest.mark.parametrize(
        "change",
        [
            lambda ring: ring.update(shredded=[]),
            lambda ring: ring["shredded"][0].update(epoch=2),
            lambda ring: ring["tenants"].pop(),
            lambda ring: ring.update(erasure_key=None),
            lambda ring: ring.pop("seal"),
        ],
    )
    def test_the_ring_is_sealed(
        self, keyring: Keyring, directory: Path, change: Callable[[dict[str, Any]], object]
    ) -> None:
        keyring.shred("acme")
        ring = json.loads((directory / "keyring.json").read_text())
        change(ring)
        (directory / "keyring.json").write_text(json.dumps(ring))
        with pytest.raises(Refused, match="damaged"):
            Keyring.open(directory)


class TestMasterKey:
    def test_the_new_one_opens_what_the_old_one_did(
        self, keyring: Keyring, directory: Path, master: Callable[..., None]
    ) -> None:
        old, new = b"o" * 32, b"n" * 32
        master(None, old)
        assert Keyring.rewrap(directory)
        assert [file.name for file in directory.iterdir()] == ["keyring.json"], "the development key is gone"
        os.link(directory / "keyring.json", directory.with_name("blocks"))
        wrapped = (directory / "keyring.json").read_bytes()
        master(old, new)
        assert Keyring.rewrap(directory)
        assert directory.with_name("blocks").read_bytes() != wrapped
        master(new)
        found = Keyring.open(directory)
        assert found.tenants() == keyring.tenants()
        assert found.erasure_key() == keyring.erasure_key()
        master(old)
        with pytest.raises(Refused, match="another master key"):
            Keyring.open(directory)

    @pytest.mark.parametrize("point", ["os.fsync", "pathlib.Path.replace", "os.pwrite", "pathlib.Path.unlink"])
    def test_killed_at_each_step(
        self, point: str, keyring: Keyring, directory: Path, master: Callable[..., None]
    ) -> None:
        new = b"n" * 32
        master(None, new)
        killed = subprocess.run([sys.executable, "-c", DIES_AT, point, str(directory)], check=False)
        assert killed.returncode == -signal.SIGKILL
        Keyring.rewrap(directory)
        assert Keyring.rewrap(directory) is False, "again is no harm"
        assert not (directory / "development.key").exists()
        master(new)
        assert Keyring.open(directory).tenants() == keyring.tenants()

    def test_what_it_cannot_do_changes_nothing(
        self, keyring: Keyring, directory: Path, tmp_path: Path, master: Callable[..., None]
    ) -> None:
        before = {file.name: file.read_bytes() for file in directory.iterdir()}
        with pytest.raises(BadInput, match=NEW_MASTER_KEY_VARIABLE):
            Keyring.rewrap(directory)
        master(b"w" * 32, b"n" * 32)
        with pytest.raises(Refused, match="another master key"):
            Keyring.rewrap(directory)
        with pytest.raises(BadInput, match="no keys yet"):
            Keyring.rewrap(tmp_path / "nowhere")
        assert before == {file.name: file.read_bytes() for file in directory.iterdir()}


def test_a_ring_of_format_1_is_read_and_then_written_as_2(tmp_path: Path, master: Callable[..., None]) -> None:
    master(MASTER_OF_1)
    (tmp_path / "keyring.json").write_text(RING_1)
    keyring = Keyring.open(tmp_path)
    held = {
        tenant_id: (keys.tenant_key, keys.pseudonym_key.hex(), keys.bundle_key.hex())
        for tenant_id, keys in keyring.tenants().items()
    }
    assert held == HELD_BY_1
    assert keyring.find_erasure_key() is None
    assert (tmp_path / "keyring.json").read_text() == RING_1
    erasure_key = keyring.erasure_key()
    assert json.loads((tmp_path / "keyring.json").read_text())["version"] == 2
    found = Keyring.open(tmp_path)
    assert found.tenants() == keyring.tenants()
    assert found.erasure_key() == erasure_key
    (tmp_path / "keyring.json").write_text(RING_1.replace("kXpO", "lXpO"))
    with pytest.raises(Refused, match="damaged"):
        Keyring.open(tmp_path)
