"""The dbt-duckdb plugin that shows the keyring to SQL: in memory, never in a file or a statement.

It is not part of ``keyring`` because dbt takes a second to import.
"""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin

from quorum.encryption import encrypt_spill_files
from quorum.errors import QuorumError
from quorum.keyring import Keyring, pads

_TENANT_KEYS = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("tenant_key", pa.string()),
        ("key_epoch", pa.int32()),
        ("inner_pad", pa.binary()),
        ("outer_pad", pa.binary()),
    ]
)


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt is not typed
    """In a profile: ``plugins: [{module: quorum.keyring_plugin, config: {directory: ...}}]``."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        if "directory" not in plugin_config:
            raise RuntimeError("quorum.keyring_plugin needs `directory` in its config in the profile")
        self._directory = Path(plugin_config["directory"])

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        try:
            tenant_keys = _tenant_keys(Keyring.open(self._directory))
        except QuorumError as problem:
            # dbt tells a RuntimeError in a line, and any other with a traceback.
            raise RuntimeError(str(problem)) from None
        encrypt_spill_files(conn)
        # A process has one DuckDB instance per file: an earlier connection may have left its keyring here.
        conn.execute("attach if not exists ':memory:' as keyring")
        conn.register("unwrapped_keys", tenant_keys)
        conn.execute("create or replace table keyring.main.tenant_keys as from unwrapped_keys")
        conn.unregister("unwrapped_keys")


def _tenant_keys(keyring: Keyring) -> pa.Table:
    tenants = keyring.tenants().values()
    padded = [pads(keys.pseudonym_key) for keys in tenants]
    columns = {
        "tenant_id": [keys.tenant_id for keys in tenants],
        "tenant_key": [keys.tenant_key for keys in tenants],
        "key_epoch": [keys.epoch for keys in tenants],
        "inner_pad": [inner for inner, _ in padded],
        "outer_pad": [outer for _, outer in padded],
    }
    return pa.table(columns, schema=_TENANT_KEYS)
