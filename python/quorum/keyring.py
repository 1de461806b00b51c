"""Keys per tenant, wrapped by one master key, in the folder ``keyring/`` of a workspace.

A tenant id may hold personal data. Outside the restricted plane only this folder knows it; all else says
``tenant_key``, which is random and so says nothing.
"""

import base64
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from quorum import ring_file
from quorum.errors import BadInput
from quorum.ring_file import MASTER_KEY_VARIABLE, NEW_MASTER_KEY_VARIABLE, Ring
from quorum.tenant_keys import KEY_BYTES, Shredded, TenantKeys, pads

__all__ = ["MASTER_KEY_VARIABLE", "NEW_MASTER_KEY_VARIABLE", "Keyring", "Shredded", "TenantKeys", "pads"]

_NO_KEYS = "this tenant has no keys: it is neither on the registry nor has it sent events"


class Keyring:
    """The keys of all tenants. Reading creates nothing; ``ensure`` does, when the first tenant comes."""

    def __init__(self, directory: Path, ring: Ring) -> None:
        self._directory = directory
        self._ring = ring

    @classmethod
    def open(cls, directory: Path) -> "Keyring":
        return cls(directory, ring_file.read(directory, ring_file.find_master_key(directory)))

    @classmethod
    def rewrap(cls, directory: Path) -> bool:
        """Wrap the ring by the new master key; return False where a run that was killed had done so already."""
        new = ring_file.find_new_master_key()
        if not (directory / ring_file.RING).exists():
            raise BadInput("there are no keys yet that a master key could wrap")
        with ring_file.locked(directory):
            try:
                ring_file.read(directory, new)
                done = True
            except ring_file.WrongMasterKey:
                ring = ring_file.read(directory, ring_file.find_master_key(directory))
                ring_file.write(directory, new, ring, wipe=True)
                done = False
            ring_file.remove_development_key(directory)
        return not done

    @property
    def development(self) -> bool:
        """Whether the master key lies beside what it protects: right for a trial and for nothing else."""
        return MASTER_KEY_VARIABLE not in os.environ

    def tenants(self) -> Mapping[str, TenantKeys]:
        """Keys by tenant id."""
        return MappingProxyType(self._ring.tenants)

    def shredded(self) -> tuple[Shredded, ...]:
        """Whose keys were destroyed, by their public names."""
        return self._ring.shredded

    def of(self, tenant_id: str) -> TenantKeys:
        """Return the keys of one tenant."""
        if tenant_id not in self._ring.tenants:
            raise BadInput(_NO_KEYS)
        return self._ring.tenants[tenant_id]

    def bundle_key(self, tenant_id: str) -> str:
        """Encode a tenant's bundle key the way DuckDB's ENCRYPTION_KEY takes 32 bytes."""
        return base64.b64encode(self.of(tenant_id).bundle_key).decode()

    def find_erasure_key(self) -> bytes | None:
        """Return the key that hides whom the workspace forgot; None before there was anybody to forget."""
        return self._ring.erasure_key

    def erasure_key(self) -> bytes:
        """Return it, 32 bytes; a ring of an older format gets one now. Rotations leave it as it is."""
        key = self._ring.erasure_key or os.urandom(KEY_BYTES)
        if self._ring.erasure_key is None:
            self._change(lambda ring: replace(ring, erasure_key=ring.erasure_key or key))
        return self._ring.erasure_key or key

    def ensure(self, tenant_ids: Iterable[str]) -> int:
        """Make keys for tenants that have none; return for how many."""
        missing = set(tenant_ids) - self._ring.tenants.keys()
        if not missing:
            return 0
        new = {tenant_id: TenantKeys.generate(tenant_id) for tenant_id in missing}
        # keys that another process has just made stay: to write over them would orphan their tokens
        before = self._change(
            lambda ring: replace(
                ring, tenants=new | ring.tenants, erasure_key=ring.erasure_key or os.urandom(KEY_BYTES)
            )
        )
        return len(missing - before.tenants.keys())

    def rotate(self, tenant_ids: Iterable[str]) -> list[TenantKeys]:
        """Begin a new epoch for these tenants, with a new key for their bundles; return their keys."""
        wanted = set(tenant_ids)

        def rotated(ring: Ring) -> Ring:
            if not wanted <= ring.tenants.keys():
                raise BadInput(_NO_KEYS)
            chosen = {tenant_id: ring.tenants[tenant_id].rotated() for tenant_id in sorted(wanted)}
            return replace(ring, tenants=ring.tenants | chosen)

        self._change(rotated)
        return [self._ring.tenants[tenant_id] for tenant_id in sorted(wanted)]

    def shred(self, tenant_id: str) -> Shredded:
        """Destroy all keys of a tenant, on the disk too. Nothing can link its tokens to anybody after this."""

        def shredded(ring: Ring) -> Ring:
            if tenant_id not in ring.tenants:
                raise BadInput(_NO_KEYS)
            keys = ring.tenants[tenant_id]
            left = {other: kept for other, kept in ring.tenants.items() if other != tenant_id}
            return replace(ring, tenants=left, shredded=(*ring.shredded, Shredded(keys.tenant_key, keys.epoch)))

        self._change(shredded, wipe=True)
        return self._ring.shredded[-1]

    def _change(self, change: Callable[[Ring], Ring], *, wipe: bool = False) -> Ring:
        """Read the ring anew, change it and write it, while nobody else does; return it as it was."""
        with ring_file.locked(self._directory):
            master_key = ring_file.find_master_key(self._directory)
            before = ring_file.read(self._directory, master_key)
            after = change(before)
            master_key = master_key or ring_file.make_development_key(self._directory)
            ring_file.write(self._directory, master_key, after, wipe=wipe)
        self._ring = after
        return before
