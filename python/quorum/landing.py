"""Files in, once: the file ledger and the current batch of raw lines.

Two relations of the restricted plane are written here and read by the staging views:
``landing_files`` (a row per content that ever landed) and ``landing_rows`` (a row per line of the batch).
A file's rows and its ledger row arrive in one transaction; it is committed only after dbt has accounted for them.
"""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from quorum.errors import BadInput

MAX_LINE_BYTES = 1 << 20
CHUNK_BYTES = 16 << 20
NAMED_IN = "restricted/problems.txt"
SUFFIXES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")

SCHEMA = """
create table if not exists landing_files (
    landing_file varchar primary key,
    path varchar not null,
    source_format varchar not null,
    folder_tenant varchar,
    byte_count bigint not null,
    rows_read bigint not null,
    state varchar not null check (state in ('loaded', 'committed'))
);
create table if not exists landing_names (
    path varchar primary key,
    landing_file varchar not null,
    byte_count bigint not null,
    modified_ns bigint not null
);
create table if not exists landing_rows (
    landing_file varchar not null,
    landing_row bigint not null,
    source_format varchar not null,
    folder_tenant varchar,
    line varchar,
    defect varchar
);
"""

ROWS = pa.schema(
    [
        ("landing_file", pa.string()),
        ("landing_row", pa.int64()),
        ("source_format", pa.string()),
        ("folder_tenant", pa.string()),
        ("line", pa.string()),
        ("defect", pa.string()),
    ]
)


@dataclass(frozen=True)
class Source:
    """A file below ``landing/<format>/``; ``tenant`` is what a folder ``tenant=<id>`` says."""

    file: Path
    path: str
    source_format: str
    tenant: str | None

    @classmethod
    def at(cls, file: Path, root: Path) -> "Source":
        relative = PurePosixPath(file.relative_to(root).as_posix())
        named = [part.removeprefix("tenant=") for part in relative.parts[1:-1] if part.startswith("tenant=")]
        return cls(file, str(relative), relative.parts[0], unquote(named[-1]) or None if named else None)


@dataclass(frozen=True)
class Problem:
    """A file that could not be taken, and what to do about it. Its path may hold personal data."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"landing/{self.path}: {self.what}"


def told(problems: Iterable[Problem]) -> list[str]:
    """Put problems into words for outside the restricted plane: how many files of a format, and no name."""
    counts = Counter((PurePosixPath(problem.path).parts[0], problem.what) for problem in problems)
    return [f"landing/{name}: {what} ({n} of its files, named in {NAMED_IN})" for (name, what), n in counts.items()]


class _Unusable(Exception):
    """The file cannot be taken now."""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the relations of the restricted plane that landing writes."""
    connection.execute(SCHEMA)


def load(connection: duckdb.DuckDBPyConnection, root: Path, formats: list[str]) -> list[Problem]:
    """Add every new file under ``root`` to the batch; return those that have to wait or are refused."""
    problems = []
    for source in sources(root, formats):
        try:
            _load_file(connection, source)
        except _Unusable as unusable:
            problems.append(Problem(source.path, str(unusable)))
    return problems


def sources(root: Path, formats: list[str]) -> Iterator[Source]:
    """Yield the files to look at, in the order of their paths. Hidden files are somebody's unfinished work."""
    folders = sorted(p for p in root.iterdir() if not p.name.startswith("."))
    if not folders:
        raise BadInput(f"landing/ is empty: make a folder for each format that lands, of {', '.join(formats)}")
    for folder in folders:
        if folder.name not in formats or not folder.is_dir():
            # it may be a file that went astray, with a name that holds personal data
            raise BadInput(f"something in landing/ is no known format: expected a folder of {', '.join(formats)}")
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts):
                yield Source.at(file, root)


def commit(connection: duckdb.DuckDBPyConnection) -> None:
    """Close the batch: its rows are accounted for downstream."""
    connection.begin()
    connection.execute("update landing_files set state = 'committed' where state = 'loaded'")
    connection.execute("delete from landing_rows")
    connection.commit()


def _load_file(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    if not source.path.endswith(SUFFIXES):
        raise _Unusable(f"left alone, its name ends in none of {', '.join(SUFFIXES)}")
    try:
        before = source.file.stat()
        known = connection.execute(
            "select landing_file, byte_count, modified_ns from landing_names where path = ?", [source.path]
        ).fetchone()
        if known and known[1:] == (before.st_size, before.st_mtime_ns):
            return
        with source.file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        # equal bytes of another format or tenant are other rows
        digest = hashlib.sha256(f"{source.source_format}/{source.tenant or ''}/{content}".encode()).hexdigest()
        if known and known[0] != digest:
            raise _Unusable("refused, its content changed after it was read: land it under a new name")
        if before.st_size == 0:
            raise _Unusable("waits for the next run, it is empty")

        connection.begin()
        try:
            if not connection.execute("select 1 from landing_files where landing_file = ?", [digest]).fetchone():
                _insert(connection, source, digest, before.st_size)
            connection.execute(
                "insert or replace into landing_names values (?, ?, ?, ?)",
                [source.path, digest, before.st_size, before.st_mtime_ns],
            )
            after = source.file.stat()
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise _Unusable("waits for the next run, it is still being written")
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
    except EOFError:
        raise _Unusable("waits for the next run, its gzip stream is cut short") from None
    except (gzip.BadGzipFile, zlib.error):
        raise _Unusable("waits for the next run, its gzip stream is damaged") from None
    except OSError as error:
        raise _Unusable(f"cannot be read: {error.strerror}") from None


def _insert(connection: duckdb.DuckDBPyConnection, source: Source, digest: str, size: int) -> None:
    count = 0
    with _opened(source) as stream:
        for first_row, lines in _chunks(stream):
            incoming = _rows(source, digest, first_row, lines)
            connection.register("incoming", incoming)
            connection.execute("insert into landing_rows select * from incoming")
            connection.unregister("incoming")
            count += incoming.num_rows
    connection.execute(
        "insert into landing_files values (?, ?, ?, ?, ?, ?, 'loaded')",
        [digest, source.path, source.source_format, source.tenant, size, count],
    )


def _opened(source: Source) -> IO[bytes]:
    if source.path.endswith(".gz"):
        return cast(IO[bytes], gzip.open(source.file, "rb"))
    return source.file.open("rb")


def _chunks(stream: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number of the first line, lines). Of an oversized line no more is held than shows that it is one."""
    number, rest = 1, b""
    while chunk := stream.read(CHUNK_BYTES):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: MAX_LINE_BYTES + 1]
        yield number, lines
        number += len(lines)
    yield number, [rest]


def _rows(source: Source, digest: str, first_row: int, lines: list[bytes]) -> pa.Table:
    """Return the lines as rows of ``landing_rows``; blank lines are none."""
    raw = pa.array(lines, pa.binary())
    oversized = pc.greater(pc.binary_length(raw), MAX_LINE_BYTES)
    raw = pc.if_else(oversized, pa.scalar(None, pa.binary()), raw)
    try:
        text, broken = raw.cast(pa.string()), pa.array([False] * len(raw))
    except pa.ArrowInvalid:
        decoded = [(value or b"").decode("utf-8", "replace") for value in raw.to_pylist()]
        broken = pa.array([(value or b"") != new.encode() for value, new in zip(raw.to_pylist(), decoded, strict=True)])
        text = pc.if_else(oversized, pa.scalar(None, pa.string()), pa.array(decoded))
    defect = pc.if_else(oversized, "oversized", pc.if_else(broken, "unparsable", pa.scalar(None, pa.string())))
    numbers = pa.array(range(first_row, first_row + len(lines)), pa.int64())
    constants = [
        pa.repeat(pa.scalar(value, pa.string()), len(lines)) for value in (digest, source.source_format, source.tenant)
    ]
    rows = pa.table([constants[0], numbers, constants[1], constants[2], text, defect], schema=ROWS)
    blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0)
    return rows.filter(pc.invert(pc.fill_null(blank, False)))
