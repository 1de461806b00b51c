"""The end of forgetting: rows that the warehouse let go leave the raw files too, and the databases' own pages.

Each step can be killed and done again. A file is written anew beside the old one, the ledger of files learns what it
is about to hold, and only then does it take the old one's place.
"""

import hashlib
import shutil
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from quorum import (
    checksums,
    compaction,
    erased_rows,
    erased_tenants,
    landing_queue,
    raw_files,
    raw_rewriting,
    warehouse,
)
from quorum.keyring import Keyring
from quorum.landing import Problem, Source, content_digest, digest
from quorum.raw_rows import Unusable
from quorum.workspace import Workspace

# What expired may stay in pages and raw files for a week; to write them anew each night would cost more than the night.
PATIENCE_DAYS = 7

CHANGED = "was changed after it was read: take the erased rows out of it by hand"

PENDING = """
select names.path, names.landing_file, erased.row_count, erased.row_count = files.rows_read as is_whole
from landing_names as names
inner join landing_files as files using (landing_file)
inner join (
    select landing_file, count(*) as row_count from landing_erased group by landing_file
) as erased using (landing_file)
left join landing_blanked as blanked on blanked.path = names.path
where coalesce(blanked.row_count, 0) < erased.row_count
order by names.path
"""


@dataclass
class Forgotten:
    """What a pass did."""

    blanked_files: int = 0
    deleted_files: int = 0
    tenants: int = 0
    problems: list[Problem] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        counts = vars(self) | {"problems": len(self.problems)}
        return {name: int(count) for name, count in counts.items()}


def mend(workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
    """End the rewriting of a raw file that was killed, before anybody takes it for a file that has changed."""
    left = connection.execute("select path, landing_file, row_count from landing_in_rewriting").fetchall()
    problems: list[Problem] = []
    for path, landing_file, row_count in left:
        problems += _blank(workspace, connection, path, landing_file, row_count)
    connection.execute("delete from landing_in_rewriting")
    return problems


def finish(workspace: Workspace, keyring: Keyring, as_of: date, progress: Callable[[str], None]) -> Forgotten | None:
    """Write files and databases anew if that is due; return what was done.

    No batch may be in work, and everything downstream must have followed.
    """
    with warehouse.opened(workspace, "restricted") as connection:
        gone = erased_tenants.still_known(connection, keyring)
        if not gone and not erased_rows.is_due(connection, as_of, PATIENCE_DAYS):
            return None
        progress("taking forgotten rows out of the raw files")
        done = _blank_files(workspace, connection)
        for keys in gone:
            erased_tenants.leave_landing(workspace, connection, keys)
        erased_rows.empty_passing(connection, "restricted")
        erased_tenants.leave_plane(connection, gone)
    progress("writing the databases anew")
    with warehouse.opened(workspace, "tenant") as connection:
        erased_rows.empty_passing(connection, "tenant")
        erased_tenants.leave_plane(connection, gone)
    _sweep(workspace)
    compaction.empty(workspace, "cross_tenant")
    compaction.rewrite(workspace, "tenant")
    # what could not be done is due again
    compaction.rewrite(workspace, "restricted", *([] if done.problems else ["delete from forgetting_due"]))
    with warehouse.opened(workspace, "restricted") as connection:
        landing_queue.renew(connection)
    for keys in gone:
        keyring.shred(keys.tenant_id)
    done.tenants = len(gone)
    return done


def _blank_files(workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> Forgotten:
    done = Forgotten()
    for path, landing_file, row_count, is_whole in connection.execute(PENDING).fetchall():
        source = Source.at(workspace.landing / path, workspace.landing)
        if is_whole and _is_whole(connection, source, landing_file):
            problems = _delete(connection, source, landing_file)
            done.deleted_files += not problems
        else:
            problems = _blank(workspace, connection, path, landing_file, row_count)
            done.blanked_files += not problems
        done.problems += problems
    return done


def _is_whole(connection: duckdb.DuckDBPyConnection, source: Source, landing_file: str) -> bool:
    """Tell whether a file has no row that is not erased, by looking: what is deleted cannot be had back."""
    if not source.file.is_file():
        return True
    rows = pa.array(sorted(_erased(connection, landing_file)), pa.int64())
    try:
        return all(
            pc.all(pc.is_in(table["landing_row"], rows)).as_py() is not False for table in raw_files.read(source.file)
        )
    except Unusable:
        return False


def _delete(connection: duckdb.DuckDBPyConnection, source: Source, landing_file: str) -> list[Problem]:
    """Delete a file none of whose rows is left."""
    try:
        if source.file.is_file():
            if not _is_known(connection, source, landing_file):
                raise Unusable(CHANGED)
            raw_rewriting.remove(source.file)
            if source.tenant and not any(source.file.parent.iterdir()):
                source.file.parent.rmdir()
        checksums.relist(source.file, None)
    except Unusable as unusable:
        return [Problem(source.path, str(unusable))]
    except OSError:
        return [Problem(source.path, "holds only erased rows and cannot be deleted: delete it")]
    connection.begin()
    connection.execute("delete from landing_names where path = ?", [source.path])
    connection.execute("delete from landing_blanked where path = ?", [source.path])
    # its name may say whose it was
    connection.execute(
        "update landing_files set path = source_format || '/deleted', folder_tenant = null where landing_file = ?",
        [landing_file],
    )
    connection.commit()
    return []


def _blank(
    workspace: Workspace, connection: duckdb.DuckDBPyConnection, path: str, landing_file: str, row_count: int
) -> list[Problem]:
    source = Source.at(workspace.landing / path, workspace.landing)
    if not source.file.is_file():
        connection.execute("delete from landing_names where path = ?", [path])
        return []
    rows = _erased(connection, landing_file)
    written = source.file.with_name(f".{source.file.name}.new")
    try:
        file = source.file.resolve()  # a link stays one
        if not _is_known(connection, source, landing_file):
            raise Unusable(CHANGED)
        raw_rewriting.write_without(file, rows, written)
        content = _sha256(written)
        _expect(connection, source, landing_file, content, written, row_count)
        raw_rewriting.put(written, file)
        checksums.relist(source.file, content)
    except (OSError, Unusable) as error:
        written.unlink(missing_ok=True)
        told = str(error) if isinstance(error, Unusable) else "cannot be written: its erased rows still stand in it"
        return [Problem(path, told)]
    connection.begin()
    connection.execute("insert or replace into landing_blanked values (?, ?)", [path, row_count])
    connection.execute("delete from landing_in_rewriting where path = ?", [path])
    connection.commit()
    return []


def _expect(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    landing_file: str,
    content: str,
    written: Path,
    row_count: int,
) -> None:
    """Tell the ledger of files what a name is about to hold, so that it is neither new nor changed."""
    state = written.stat()
    connection.begin()
    connection.execute("insert or ignore into landing_contents values (?, ?)", [digest(source, content), landing_file])
    connection.execute(
        "update landing_names set byte_count = ?, modified_ns = ? where path = ?",
        [state.st_size, state.st_mtime_ns, source.path],
    )
    connection.execute("insert into landing_in_rewriting values (?, ?, ?)", [source.path, landing_file, row_count])
    connection.commit()


def _erased(connection: duckdb.DuckDBPyConnection, landing_file: str) -> Set[int]:
    rows = connection.execute("select landing_row from landing_erased where landing_file = ?", [landing_file])
    return {row for (row,) in rows.fetchall()}


def _is_known(connection: duckdb.DuckDBPyConnection, source: Source, landing_file: str) -> bool:
    """Tell whether a file holds what was read from it, or what was left of that."""
    present = digest(source, content_digest(source))
    known = connection.execute(
        "select 1 from landing_contents where content = ? and landing_file = ?", [present, landing_file]
    )
    return present == landing_file or known.fetchone() is not None


def _sweep(workspace: Workspace) -> None:
    """Remove what dbt and spilling left: error texts, and rows that did not fit into memory."""
    for folder in (workspace.restricted / "spill", workspace.restricted / "dbt" / "logs"):
        for entry in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (workspace.restricted / "dbt" / "target" / "run_results.json").unlink(missing_ok=True)
    workspace.operator_page.unlink(missing_ok=True)  # the next run writes it anew


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
