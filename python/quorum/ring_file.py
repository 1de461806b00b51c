"""The file that holds the keyring: each secret wrapped by the master key, the whole of it sealed, replaced at once."""

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quorum.errors import BadInput, Refused
from quorum.tenant_keys import KEY_BYTES, Shredded, TenantKeys

MASTER_KEY_VARIABLE = "QUORUM_MASTER_KEY"
NEW_MASTER_KEY_VARIABLE = "QUORUM_NEW_MASTER_KEY"
RING = "keyring.json"
DEVELOPMENT_KEY = "development.key"

_VERSION = 2  # 1 had one key per tenant, no erasure key and no seal; it is read, and written as 2
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Ring:
    """What the file says. A workspace without tenants has no erasure key yet."""

    tenants: dict[str, TenantKeys] = field(default_factory=dict)
    shredded: tuple[Shredded, ...] = ()
    erasure_key: bytes | None = field(default=None, repr=False)


class WrongMasterKey(Refused):
    """The file was wrapped by another master key than the one at hand."""


class _Wrapper:
    """AES-256-GCM under the master key. The context is authenticated, so no secret passes for another's."""

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(master_key)

    def wrap(self, secret: bytes, *context: object) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret, json.dumps(context).encode())
        return base64.b64encode(nonce + sealed).decode()

    def unwrap(self, wrapped: str, *context: object) -> bytes:
        blob = base64.b64decode(wrapped, validate=True)
        return self._cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], json.dumps(context).encode())

    def wrap_tenant(self, keys: TenantKeys) -> dict[str, Any]:
        whose = (keys.tenant_id, keys.tenant_key)
        chain = enumerate(keys.pseudonym_keys, start=1)
        return {
            "tenant_id": keys.tenant_id,
            "tenant_key": keys.tenant_key,
            "epoch": keys.epoch,
            "pseudonym_keys": [self.wrap(secret, *whose, epoch, "pseudonym_key") for epoch, secret in chain],
            "bundle_key": self.wrap(keys.bundle_key, *whose, keys.epoch, "bundle_key"),
        }

    def unwrap_tenant(self, record: dict[str, Any]) -> TenantKeys:
        whose = (record["tenant_id"], record["tenant_key"])
        chain = enumerate(record["pseudonym_keys"], start=1)
        secrets = tuple(self.unwrap(wrapped, *whose, epoch, "pseudonym_key") for epoch, wrapped in chain)
        keys = TenantKeys(*whose, secrets, self.unwrap(record["bundle_key"], *whose, record["epoch"], "bundle_key"))
        if keys.epoch != record["epoch"]:
            raise ValueError("a chain has a key for each epoch")
        return keys


def find_master_key(directory: Path) -> bytes | None:
    """Return the master key of the environment, else the development key, else nothing."""
    value = os.environ.get(MASTER_KEY_VARIABLE)
    if value is not None:
        return _decode_master_key(value, MASTER_KEY_VARIABLE)
    path = directory / DEVELOPMENT_KEY
    return _decode_master_key(path.read_bytes(), str(path)) if path.exists() else None


def find_new_master_key() -> bytes:
    """Return the master key that is to replace the present one."""
    value = os.environ.get(NEW_MASTER_KEY_VARIABLE)
    if value is None:
        raise BadInput(f"set {NEW_MASTER_KEY_VARIABLE} to the new master key: {KEY_BYTES} random bytes in base64")
    return _decode_master_key(value, NEW_MASTER_KEY_VARIABLE)


def _decode_master_key(value: str | bytes, source: str) -> bytes:
    try:
        key = base64.b64decode(value, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(f"{source} must hold {KEY_BYTES} random bytes in base64")
    return key


def make_development_key(directory: Path) -> bytes:
    """Make a master key that lies beside what it protects."""
    key = os.urandom(KEY_BYTES)
    _replace(directory / DEVELOPMENT_KEY, base64.b64encode(key))
    return key


def remove_development_key(directory: Path) -> None:
    """Overwrite and remove the development key, if there is one."""
    path = directory / DEVELOPMENT_KEY
    if path.exists():
        with path.open("r+b") as file:
            _overwrite(file.fileno())
        path.unlink()
        _sync(directory)


def read(directory: Path, master_key: bytes | None) -> Ring:
    """Read the ring; a folder without one holds an empty ring."""
    path = directory / RING
    if not path.exists():
        return Ring()
    if master_key is None:
        raise Refused(f"{path} was wrapped by a master key that is not here: set {MASTER_KEY_VARIABLE}")
    while True:
        with path.open("rb") as file:
            try:
                return _unwrapped(path, file.read(), _Wrapper(master_key))
            except (InvalidTag, ValueError, LookupError, TypeError):
                # what was shredded meanwhile is overwritten, and the new ring is there already
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    raise Refused(f"{path} is damaged: restore it from a backup") from None


def _unwrapped(path: Path, content: bytes, wrapper: _Wrapper) -> Ring:
    ring = json.loads(content)
    version = ring["version"]
    if version not in (1, _VERSION):
        raise Refused(f"{path} is not of format version {_VERSION}: use the Quorum that wrote it")
    try:
        wrapper.unwrap(ring["key_check"], "key_check")
    except InvalidTag:
        raise WrongMasterKey(f"{path} was wrapped by another master key than the present one") from None
    records = ring["tenants"]
    if version == 1:
        records = [record | {"pseudonym_keys": [record["pseudonym_key"]]} for record in records]
        tenants = [wrapper.unwrap_tenant(record) for record in records]
        return Ring({keys.tenant_id: keys for keys in tenants})
    wrapper.unwrap(ring.pop("seal"), "seal", ring)
    tenants = [wrapper.unwrap_tenant(record) for record in records]
    wrapped = ring["erasure_key"]
    return Ring(
        {keys.tenant_id: keys for keys in tenants},
        tuple(Shredded(**record) for record in ring["shredded"]),
        wrapper.unwrap(wrapped, "erasure_key") if wrapped else None,
    )


def write(directory: Path, master_key: bytes, content: Ring, *, wipe: bool = False) -> None:
    """Write the ring; with ``wipe`` the bytes of the ring before it are overwritten on the disk."""
    wrapper = _Wrapper(master_key)
    ring: dict[str, Any] = {
        "version": _VERSION,
        "key_check": wrapper.wrap(b"", "key_check"),  # tells a wrong master key from a damaged file
        "erasure_key": wrapper.wrap(content.erasure_key, "erasure_key") if content.erasure_key else None,
        "shredded": [{"tenant_key": each.tenant_key, "epoch": each.epoch} for each in content.shredded],
        "tenants": [wrapper.wrap_tenant(keys) for keys in content.tenants.values()],
    }
    # no record can be left out or put back by who cannot unwrap them
    ring["seal"] = wrapper.wrap(b"", "seal", ring)
    _replace(directory / RING, json.dumps(ring).encode(), wipe=wipe)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the ring alone, from reading it to writing it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes, *, wipe: bool = False) -> None:
    """Write so that readers, and those who come after a crash, find the old file or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    if wipe and temporary.exists():  # a killed writer may have left keys in it
        with temporary.open("r+b") as leftover:
            _overwrite(leftover.fileno())
    old = os.open(path, os.O_RDWR) if wipe and path.exists() else None
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)
    if old is not None:
        _overwrite(old)
        os.close(old)


def _overwrite(descriptor: int) -> None:
    """Put random bytes over a file's own blocks: a truncated or unlinked file leaves them as they were."""
    os.pwrite(descriptor, os.urandom(os.fstat(descriptor).st_size), 0)
    os.fsync(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
