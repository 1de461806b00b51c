"""Keys per tenant, wrapped by one master key, in the folder ``keyring/`` of a workspace.

A tenant id may hold personal data. Outside the restricted plane only this folder knows it; all else says
``tenant_key``, which is random and so says nothing.
"""

import base64
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quorum.errors import BadInput, Refused

MASTER_KEY_VARIABLE = "QUORUM_MASTER_KEY"

_VERSION = 1
_RING = "keyring.json"
_DEVELOPMENT_KEY = "development.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_SHA256_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """What one tenant has at one key epoch. Its repr may end in a log, so it shows the public part only."""

    tenant_id: str = field(repr=False)
    tenant_key: str
    epoch: int
    pseudonym_key: bytes = field(repr=False)
    bundle_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.tenant_id.strip():
            raise BadInput("a blank tenant id cannot have keys")
        if not re.fullmatch("[0-9a-f]{32}", self.tenant_key):
            raise ValueError("tenant_key must be 128 bits in hex: it names folders")
        if self.epoch < 1:
            raise ValueError("epochs count from 1")
        if len(self.pseudonym_key) != _KEY_BYTES or len(self.bundle_key) != _KEY_BYTES:
            raise ValueError(f"a secret must be {_KEY_BYTES} bytes")

    @classmethod
    def generate(cls, tenant_id: str) -> "TenantKeys":
        return cls(tenant_id, os.urandom(16).hex(), 1, os.urandom(_KEY_BYTES), os.urandom(_KEY_BYTES))


class Keyring:
    """The keys of all tenants. Reading creates nothing; ``ensure`` does, when the first tenant comes."""

    def __init__(self, directory: Path, tenants: dict[str, TenantKeys]) -> None:
        self._directory = directory
        self._tenants = tenants

    @classmethod
    def open(cls, directory: Path) -> "Keyring":
        return cls(directory, _read(directory, _find_master_key(directory)))

    @property
    def development(self) -> bool:
        """Whether the master key lies beside what it protects: right for a trial and for nothing else."""
        return MASTER_KEY_VARIABLE not in os.environ

    def tenants(self) -> Mapping[str, TenantKeys]:
        """Keys by tenant id."""
        return MappingProxyType(self._tenants)

    def bundle_key(self, tenant_id: str) -> str:
        """Encode a tenant's bundle key the way DuckDB's ENCRYPTION_KEY takes 32 bytes."""
        if tenant_id not in self._tenants:
            raise BadInput("this tenant has no keys: `quorum keys` makes them")
        return base64.b64encode(self._tenants[tenant_id].bundle_key).decode()

    def ensure(self, tenant_ids: Iterable[str]) -> int:
        """Make keys for tenants that have none; return for how many."""
        missing = set(tenant_ids) - self._tenants.keys()
        if not missing:
            return 0
        new = {tenant_id: TenantKeys.generate(tenant_id) for tenant_id in missing}
        with _locked(self._directory):
            # Read again: to write over keys that another process has just made would orphan their tokens.
            master_key = _find_master_key(self._directory) or _make_development_key(self._directory)
            present = _read(self._directory, master_key)
            tenants = new | present
            _write(self._directory, master_key, tenants.values())
        self._tenants = tenants
        return len(tenants) - len(present)


def pads(key: bytes) -> tuple[bytes, bytes]:
    """Return HMAC-SHA256's padded keys: sha256(outer || sha256(inner || message)) is then plain SQL."""
    if len(key) > _SHA256_BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    block = key.ljust(_SHA256_BLOCK_BYTES, b"\0")
    return block.translate(_INNER_PAD), block.translate(_OUTER_PAD)


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
        public = {"tenant_id": keys.tenant_id, "tenant_key": keys.tenant_key, "epoch": keys.epoch}
        return public | {
            purpose: self.wrap(secret, *public.values(), purpose)
            for purpose, secret in (("pseudonym_key", keys.pseudonym_key), ("bundle_key", keys.bundle_key))
        }

    def unwrap_tenant(self, record: dict[str, Any]) -> TenantKeys:
        public = [record[name] for name in ("tenant_id", "tenant_key", "epoch")]
        secrets = [self.unwrap(record[name], *public, name) for name in ("pseudonym_key", "bundle_key")]
        return TenantKeys(*public, *secrets)


def _find_master_key(directory: Path) -> bytes | None:
    value = os.environ.get(MASTER_KEY_VARIABLE)
    if value is not None:
        return _decode_master_key(value, MASTER_KEY_VARIABLE)
    path = directory / _DEVELOPMENT_KEY
    return _decode_master_key(path.read_bytes(), str(path)) if path.exists() else None


def _decode_master_key(value: str | bytes, source: str) -> bytes:
    try:
        key = base64.b64decode(value, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise BadInput(f"{source} must hold {_KEY_BYTES} random bytes in base64")
    return key


def _make_development_key(directory: Path) -> bytes:
    key = os.urandom(_KEY_BYTES)
    _replace(directory / _DEVELOPMENT_KEY, base64.b64encode(key))
    return key


def _read(directory: Path, master_key: bytes | None) -> dict[str, TenantKeys]:
    path = directory / _RING
    if not path.exists():
        return {}
    if master_key is None:
        raise Refused(f"{path} was wrapped by a master key that is not here: set {MASTER_KEY_VARIABLE}")
    wrapper = _Wrapper(master_key)
    try:
        ring = json.loads(path.read_bytes())
        if ring["version"] != _VERSION:
            raise Refused(f"{path} is not of format version {_VERSION}: use the Quorum that wrote it")
        try:
            wrapper.unwrap(ring["key_check"], "key_check")
        except InvalidTag:
            raise Refused(f"{path} was wrapped by another master key than the present one") from None
        tenants = [wrapper.unwrap_tenant(record) for record in ring["tenants"]]
    except (InvalidTag, ValueError, LookupError, TypeError):
        raise Refused(f"{path} is damaged: restore it from a backup") from None
    return {keys.tenant_id: keys for keys in tenants}


def _write(directory: Path, master_key: bytes, tenants: Iterable[TenantKeys]) -> None:
    wrapper = _Wrapper(master_key)
    ring = {
        "version": _VERSION,
        "key_check": wrapper.wrap(b"", "key_check"),  # tells a wrong master key from a damaged file
        "tenants": [wrapper.wrap_tenant(keys) for keys in tenants],
    }
    _replace(directory / _RING, json.dumps(ring).encode())


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    """Write so that readers, and those who come after a crash, find the old file or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
