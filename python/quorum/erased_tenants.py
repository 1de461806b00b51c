"""What is left of a tenant when all its rows are erased: names of folders, and rows of relations that its key is in.

Its keys go last, when nothing has to be found by them any more. What they opened, its bundles in releases that are
kept and in backups, is closed from then on.
"""

from collections.abc import Iterable

import duckdb

from quorum import raw_rewriting
from quorum.keyring import Keyring
from quorum.landing import Source
from quorum.tenant_keys import TenantKeys
from quorum.workspace import Workspace


def still_known(connection: duckdb.DuckDBPyConnection, keyring: Keyring) -> list[TenantKeys]:
    """Return the keys of erased tenants that are not shredded yet."""
    erased = {key for (key,) in connection.execute("select tenant_key from erased_tenants").fetchall()}
    return [keys for keys in keyring.tenants().values() if keys.tenant_key in erased]


def leave_landing(workspace: Workspace, connection: duckdb.DuckDBPyConnection, keys: TenantKeys) -> None:
    """Delete the tenant's folders, with files in them that were never taken, and their names in the ledger of files."""
    folders = {
        folder
        for folder in workspace.landing.rglob("tenant=*")
        if folder.is_dir() and Source.at(folder / "any", workspace.landing).tenant == keys.tenant_id
    }
    for folder in sorted(folders):
        for file in sorted(folder.rglob("*")):
            if not file.is_dir() and Source.at(file, workspace.landing).tenant == keys.tenant_id:
                raw_rewriting.remove(file)
        for below in sorted((folder, *(each for each in folder.rglob("*") if each.is_dir())), reverse=True):
            if not any(below.iterdir()):
                below.rmdir()
    workspace.landing_problems.unlink(missing_ok=True)
    of_tenant = "(select path from landing_files where folder_tenant = $1)"
    for relation in ("landing_names", "landing_blanked"):
        connection.execute(f"delete from {relation} where path in {of_tenant}", [keys.tenant_id])
    connection.execute(
        "update landing_files set path = source_format || '/deleted', folder_tenant = null where folder_tenant = ?",
        [keys.tenant_id],
    )


def leave_plane(connection: duckdb.DuckDBPyConnection, tenants: Iterable[TenantKeys]) -> None:
    """Delete the tenants' rows from every table of a plane that says whose its rows are."""
    for column in ("tenant_key", "tenant_id"):
        tables = connection.execute(
            "select distinct columns.table_name from duckdb_columns() as columns "
            "inner join duckdb_tables() as tables using (database_name, schema_name, table_name) "
            "where columns.column_name = ? and columns.database_name = current_database() "
            # these say that it was, and that its keys are no more
            "and columns.table_name not in ('erased_tenants', 'key_epochs')",
            [column],
        ).fetchall()
        values = [getattr(keys, column) for keys in tenants]
        for (table,) in tables if values else ():
            connection.execute(f'delete from "{table}" where list_contains(?, {column})', [values])
