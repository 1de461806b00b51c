"""What one tenant has: a chain of pseudonym keys, one per epoch, and the key of its bundle."""

import hashlib
import os
import re
from dataclasses import dataclass, field

from quorum.errors import BadInput

KEY_BYTES = 32

_SHA256_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """The keys of one tenant. Its repr may end in a log, so it shows the public part only.

    A token of epoch 1 is an HMAC of an identifier under the first pseudonym key; a token of epoch n + 1 is an
    HMAC of that of epoch n under the key n + 1. So stored tokens are carried over without the identifiers, and
    the chain is kept whole to tokenise what arrives later.
    """

    tenant_id: str = field(repr=False)
    tenant_key: str
    pseudonym_keys: tuple[bytes, ...] = field(repr=False)
    bundle_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.tenant_id.strip():
            raise BadInput("a blank tenant id cannot have keys")
        if not re.fullmatch("[0-9a-f]{32}", self.tenant_key):
            raise ValueError("tenant_key must be 128 bits in hex: it names folders")
        if not self.pseudonym_keys:
            raise ValueError("epochs count from 1, so there must be a pseudonym key")
        if any(len(secret) != KEY_BYTES for secret in (*self.pseudonym_keys, self.bundle_key)):
            raise ValueError(f"a secret must be {KEY_BYTES} bytes")

    @classmethod
    def generate(cls, tenant_id: str) -> "TenantKeys":
        return cls(tenant_id, os.urandom(16).hex(), (os.urandom(KEY_BYTES),), os.urandom(KEY_BYTES))

    @property
    def epoch(self) -> int:
        return len(self.pseudonym_keys)

    @property
    def pseudonym_key(self) -> bytes:
        """The key of the present epoch."""
        return self.pseudonym_keys[-1]

    def rotated(self) -> "TenantKeys":
        """Return the keys of the next epoch. The tenant keeps its public name."""
        chain = (*self.pseudonym_keys, os.urandom(KEY_BYTES))
        return TenantKeys(self.tenant_id, self.tenant_key, chain, os.urandom(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Shredded:
    """What a ring remembers of keys that were destroyed: no secret, and not whose they were."""

    tenant_key: str
    epoch: int


def pads(key: bytes) -> tuple[bytes, bytes]:
    """Return HMAC-SHA256's padded keys: sha256(outer || sha256(inner || message)) is then plain SQL."""
    if len(key) > _SHA256_BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    block = key.ljust(_SHA256_BLOCK_BYTES, b"\0")
    return block.translate(_INNER_PAD), block.translate(_OUTER_PAD)
