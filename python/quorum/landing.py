"""Files in, once: the ledger of what landed, and how a file's rows come into the queue.

``landing_files`` holds a row per content that ever landed, ``landing_names`` the names it was seen under. A file's
rows and its ledger row arrive in one transaction; the queue holds the rows until a batch has accounted for them.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from os import stat_result
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import duckdb

from quorum import checksums, erased_rows, landing_queue, raw_files
from quorum.checksums import Checksums
from quorum.errors import BadInput
from quorum.raw_files import Unusable

NAMED_IN = "restricted/problems.txt"

SCHEMA = """
create table if not exists landing_files (
    landing_file varchar primary key,
    path varchar not null,
    source_format varchar not null,
    folder_tenant varchar,
    byte_count bigint not null,
    rows_read bigint not null,
    last_row bigint not null,
    integrity varchar not null,
    state varchar not null check (state in ('read', 'replaced', 'gone'))
);
alter table landing_files add column if not exists landed_on date;
create table if not exists landing_names (
    path varchar primary key,
    landing_file varchar not null,
    byte_count bigint not null,
    modified_ns bigint not null
);
"""


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


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the relations of the restricted plane that landing writes."""
    connection.execute(SCHEMA)
    landing_queue.prepare(connection)
    erased_rows.prepare(connection)


class Landing:
    """One pass over ``landing/``: new files go into the queue, the others are told about.

    ``rewriting`` are the formats whose producers write a file anew: its newest content replaces what was read.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        root: Path,
        batch_rows: int,
        rewriting: Collection[str] = (),
        as_of: date | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self._connection = connection
        self._root = root
        self._rewriting = rewriting
        self._as_of = as_of
        self._queue = landing_queue.Writer(connection, batch_rows)

    def load(self, formats: list[str]) -> None:
        """Add the rows of every new file to the queue, in the order of the paths."""
        for folder, files in groupby(sources(self._root, formats), lambda source: source.file.parent):
            self._load_folder(folder, [source for source in files if source.file.name != checksums.NAME])
        self._queue.close()

    def load_again(self, files: Iterable[str]) -> None:
        """Put the rows of files that were read before into the queue once more.

        A file that is not there any more, or not as it was, is told about; its rows stay as they were read.
        """
        for landing_file in files:
            names = self._seen_as(landing_file)
            for source in names:
                if source.file.is_file() and self._known(digest(source, content_digest(source))) == landing_file:
                    with self._taking(source):
                        self._queue_rows(source, landing_file, is_again=True)
                    break
            else:
                for source in names[-1:]:  # of a file that was erased whole there is no name
                    self.problems.append(Problem(source.path, "is not there as it was read: its rows stay as they are"))
        self._queue.close()

    def _load_folder(self, folder: Path, files: list[Source]) -> None:
        try:
            listed = Checksums.at(folder)
        except Unusable as unusable:
            self.problems += [Problem(source.path, str(unusable)) for source in files]
            return
        for source in files:
            try:
                self._load_file(source, listed)
            except Unusable as unusable:
                self.problems.append(Problem(source.path, str(unusable)))
        for name in listed.missing(source.file.name for source in files) if listed else ():
            path = (folder / name).relative_to(self._root).as_posix()
            self.problems.append(Problem(path, f"is not there, though {checksums.NAME} lists it"))

    def _seen_as(self, landing_file: str) -> list[Source]:
        names = self._connection.execute(
            "select path from landing_names where landing_file = ? order by path", [landing_file]
        ).fetchall()
        return [Source.at(self._root / path, self._root) for (path,) in names]

    def _load_file(self, source: Source, listed: Checksums | None) -> None:
        before = _stat(source)
        known = self._connection.execute(
            "select landing_file, byte_count, modified_ns from landing_names where path = ?", [source.path]
        ).fetchone()
        if known and known[1:] == (before.st_size, before.st_mtime_ns):
            return
        if not source.path.endswith(raw_files.SUFFIXES):
            raise Unusable(f"left alone, its name ends in none of {', '.join(raw_files.SUFFIXES)}")
        content = content_digest(source)
        if listed:
            listed.check(source.file.name, content)
        landing_file = self._known(digest(source, content))
        rewrites = known and known[0] != landing_file
        if rewrites and source.source_format not in self._rewriting:
            raise Unusable("refused, its content changed after it was read: land it under a new name")
        if before.st_size == 0:
            raise Unusable("waits for the next run, it is empty")
        with self._taking(source):
            if known and rewrites:
                self._withdraw(known[0], source.path)
            # what was replaced once may come back
            returns = self._connection.execute(
                "delete from landing_files where landing_file = ? and state <> 'read' returning 1", [landing_file]
            ).fetchone()
            is_known = "select 1 from landing_files where landing_file = ?"
            if not self._connection.execute(is_known, [landing_file]).fetchone():
                rows_read, last_row = self._queue_rows(source, landing_file, returns=returns is not None)
                self._connection.execute(
                    "insert into landing_files values (?, ?, ?, ?, ?, ?, ?, ?, 'read', ?)",
                    [
                        landing_file,
                        source.path,
                        source.source_format,
                        source.tenant,
                        before.st_size,
                        rows_read,
                        last_row,
                        checksums.integrity(source.file, listed),
                        self._as_of,
                    ],
                )
            else:
                erased_rows.call_if_returned(self._connection, landing_file, source.path, self._as_of)
            self._connection.execute(
                "insert or replace into landing_names values (?, ?, ?, ?)",
                [source.path, landing_file, before.st_size, before.st_mtime_ns],
            )
            after = _stat(source)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise Unusable("waits for the next run, it is still being written")

    @contextmanager
    def _taking(self, source: Source) -> Iterator[None]:
        """Take a file whole or not at all."""
        self._connection.begin()
        try:
            yield
            self._queue.save()
        except BaseException:
            self._connection.rollback()
            self._queue.rewind()
            raise
        self._connection.commit()

    def _known(self, content: str) -> str:
        """Return the file that a content is of: its own, unless it is what was left of another after an erasure."""
        found = self._connection.execute("select landing_file from landing_contents where content = ?", [content])
        return str((found.fetchone() or (content,))[0])

    def _queue_rows(
        self, source: Source, landing_file: str, *, is_again: bool = False, returns: bool = False
    ) -> tuple[int, int]:
        """Append a file's rows; return how many it has, and the number of the last."""
        return self._queue.write(
            raw_files.read(source.file),
            is_again=is_again,
            returns=returns,
            landing_file=landing_file,
            source_format=source.source_format,
            folder_tenant=source.tenant,
        )

    def _withdraw(self, landing_file: str, path: str) -> None:
        """Take back a content that was written anew, unless it has another name: its rows leave with the next batch."""
        others = "select 1 from landing_names where landing_file = ? and path <> ?"
        if self._connection.execute(others, [landing_file, path]).fetchone():
            return
        self._connection.execute("delete from landing_rows where landing_file = ?", [landing_file])
        self._connection.execute("update landing_files set state = 'replaced' where landing_file = ?", [landing_file])


def sources(root: Path, formats: list[str]) -> Iterator[Source]:
    """Yield the files to look at, folder by folder and name by name. Hidden files are somebody's unfinished work."""
    folders = sorted(p for p in root.iterdir() if not p.name.startswith("."))
    if not folders:
        raise BadInput(f"landing/ is empty: make a folder for each format that lands, of {', '.join(formats)}")
    for folder in folders:
        if folder.name not in formats or not folder.is_dir():
            # it may be a file that went astray, with a name that holds personal data
            raise BadInput(f"something in landing/ is no known format: expected a folder of {', '.join(formats)}")
        for file in sorted(folder.rglob("*"), key=lambda file: (file.parent, file.name)):
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts):
                yield Source.at(file, root)


def _stat(source: Source) -> stat_result:
    try:
        return source.file.stat()
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None


def content_digest(source: Source) -> str:
    """Return the SHA-256 of a file's bytes. Raises ``Unusable``."""
    try:
        with source.file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None


def digest(source: Source, content: str) -> str:
    """Name a content: equal bytes of another format or tenant are other rows."""
    return hashlib.sha256(f"{source.source_format}/{source.tenant or ''}/{content}".encode()).hexdigest()
