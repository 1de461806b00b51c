"""A PostgreSQL server of the tests' own: a folder, a socket in it, and nothing left when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

ADMIN, PASSWORD = "admin", "p@ss:wörd/?#"


def programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``; none where they are not on this machine."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _unprivileged() -> dict[str, Any]:
    """Return what starts a process as somebody else, for root is refused by the server."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@dataclass
class Server:
    """A running server that listens on a socket in its folder, and asks everyone for a password."""

    programs: Path
    folder: Path
    _process: subprocess.Popen[bytes] = field(init=False)
    _made: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Start, and wait until it answers; what a crash left is recovered first."""
        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", "max_connections=80"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *(f"-c{option}" for option in options)],
                stdout=log,
                stderr=log,
                **_unprivileged(),
            )
        end = time.monotonic() + 60
        while True:
            try:
                return self.execute("select 1")
            except sa.exc.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < end, "the server does not answer"
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends sessions and writes all down, SIGQUIT leaves it to the recovery, as a crash does."""
        self._process.send_signal(how)
        self._process.wait(60)

    def url(self, database: str = "postgres", role: str = ADMIN, password: str = PASSWORD) -> str:
        where = sa.URL.create("postgresql", role, password, database=database, query={"host": str(self.folder)})
        return where.render_as_string(hide_password=False)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Let the server's own administrator do something, outside of any transaction."""
        url = sa.make_url(self.url(database)).set(drivername="postgresql+psycopg")
        with sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(statement)

    def run(self, program: str, *arguments: str, **options: Any) -> str:
        """Run one of PostgreSQL's own programs as its administrator; return what it prints."""
        variables = {"PGHOST": str(self.folder), "PGUSER": ADMIN, "PGPASSWORD": PASSWORD}
        done = subprocess.run(
            [self.programs / program, *arguments], env=variables, check=True, capture_output=True, text=True, **options
        )
        return str(done.stdout)

    def emptied(self, database: str) -> str:
        """Return the URL of a database that has no ledger: emptied, since to make one takes a second of the disk."""
        if database not in self._made:
            self.execute(f"create database {database}")
            self._made.add(database)
        self.execute("drop schema if exists quorum_ledger cascade", database)
        return self.url(database)


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    # Not below pytest's folder, which only its owner can enter; a socket's path must be short. In memory where there is
    # room, for a disk that many share makes each commit wait.
    memory = Path("/dev/shm")  # noqa: S108 - the folder below it is made with a random name
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**30
    folder = Path(tempfile.mkdtemp(prefix="quorum-postgres-", dir=memory if roomy else None))
    unprivileged = _unprivileged()
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            os.chown(path, unprivileged.get("user", -1), unprivileged.get("group", -1))
        subprocess.run(
            [
                *(programs / "initdb", "--pgdata", folder / "data", "--pwfile", folder / "password"),
                *("--username", ADMIN, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--no-sync", "--no-instructions"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **unprivileged,
        )
        server = Server(programs, folder)
        server.start()
        try:
            yield server
        finally:
            with suppress(ProcessLookupError):
                server.stop(signal.SIGQUIT)  # what it would write down goes with the folder
    finally:
        shutil.rmtree(folder)
