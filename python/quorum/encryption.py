"""What DuckDB needs before it writes anything encrypted."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb


def load_encryption(connection: duckdb.DuckDBPyConnection) -> None:
    """Offer the cryptography of the httpfs wheel, without a network: DuckDB's own can only decrypt.

    DuckDB loads it when it first has to encrypt, and refuses to write where it cannot. To load it into every
    connection would cost each a tenth of a second, which its signature takes to check.
    """
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = true")
    connection.execute("set extension_directory = ?", [_extensions().name])


def encrypt_spill_files(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what spills to disk unreadable; under memory pressure tables in ``:memory:`` spill too."""
    load_encryption(connection)
    connection.execute("set temp_file_encryption = true")


@cache
def _extensions() -> "TemporaryDirectory[str]":
    """Return a folder, gone with the process, that shows the wheel's extension where DuckDB looks for it."""
    folder = TemporaryDirectory(prefix="quorum-")
    version = f"v{duckdb.__version__}"
    with duckdb.connect() as connection:
        [(platform,)] = connection.execute("pragma platform").fetchall()
    place = Path(folder.name, version, platform, "httpfs.duckdb_extension")
    place.parent.mkdir(parents=True)
    place.symlink_to(str(files("duckdb_extension_httpfs") / "extensions" / version / place.name))
    return folder
