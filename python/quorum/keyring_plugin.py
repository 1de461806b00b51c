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
from quorum.hmac_sql import CHAIN, PADS, padded
from quorum.keyring import Keyring

_TENANT_KEYS = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("tenant_key", pa.string()),
        ("key_epoch", pa.int32()),
        *PADS,
        ("further_pads", pa.list_(pa.struct(PADS))),
    ]
)
_ERASURE_KEY = pa.schema(PADS)


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt is not typed
    """In a profile: ``plugins: [{module: quorum.keyring_plugin, config: {directory: ...}}]``."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        if "directory" not in plugin_config:
            raise RuntimeError("quorum.keyring_plugin needs `directory` in its config in the profile")
        self._directory = Path(plugin_config["directory"])

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        try:
            keyring = Keyring.open(self._directory)
        except QuorumError as problem:
            # dbt tells a RuntimeError in a line, and any other with a traceback.
            raise RuntimeError(str(problem)) from None
        encrypt_spill_files(conn)
        attach(conn, keyring)


def attach(connection: duckdb.DuckDBPyConnection, keyring: Keyring) -> None:
    """Show a keyring to SQL, as the in-memory database ``keyring``."""
    # A process has one DuckDB instance per file: an earlier connection may have left its keyring here.
    connection.execute("attach if not exists ':memory:' as keyring")
    for name, rows in (("tenant_keys", _tenant_keys(keyring)), ("erasure_key", _erasure_key(keyring))):
        connection.register("unwrapped_keys", rows)
        connection.execute(f"create or replace table keyring.main.{name} as from unwrapped_keys")
        connection.unregister("unwrapped_keys")
    connection.execute(CHAIN.format(kind="", name="keyring.main.hmac_chain"))


def _tenant_keys(keyring: Keyring) -> pa.Table:
    """Return a row per tenant: the padded key of its first epoch, and those of all that followed."""
    rows = []
    for keys in keyring.tenants().values():
        first, *further = (padded(key) for key in keys.pseudonym_keys)
        whose = {"tenant_id": keys.tenant_id, "tenant_key": keys.tenant_key, "key_epoch": keys.epoch}
        rows.append(whose | first | {"further_pads": further})
    return pa.Table.from_pylist(rows, schema=_TENANT_KEYS)


def _erasure_key(keyring: Keyring) -> pa.Table:
    key = keyring.find_erasure_key()
    return pa.Table.from_pylist([padded(key)] if key else [], schema=_ERASURE_KEY)
