"""The dbt-duckdb plugin for stages that need no key: what they spill to disk is encrypted all the same."""

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from quorum.encryption import encrypt_spill_files


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt is not typed
    """In a profile: ``plugins: [{module: quorum.spill_plugin}]``."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        encrypt_spill_files(conn)
