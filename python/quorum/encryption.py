"""What DuckDB needs before it writes anything encrypted."""

from importlib.resources import files

import duckdb


def load_encryption(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the cryptography of the httpfs wheel, without a network: DuckDB's own can only decrypt."""
    version = f"v{duckdb.__version__}"
    extension = files("duckdb_extension_httpfs") / "extensions" / version / "httpfs.duckdb_extension"
    connection.load_extension(str(extension))


def encrypt_spill_files(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what spills to disk unreadable; under memory pressure tables in ``:memory:`` spill too."""
    load_encryption(connection)
    connection.execute("set temp_file_encryption = true")
