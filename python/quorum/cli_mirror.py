"""The command ``quorum mirror``, and the option of a run that does the same after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from quorum.audit import AuditLog
from quorum.cli_options import progress
from quorum.errors import BadInput, QuorumError, Refused
from quorum.workspace import Workspace

postgres_option = click.option(
    "--postgres",
    metavar="URL",
    envvar="QUORUM_POSTGRES",
    help="The PostgreSQL database that mirrors what is published.",
)


@postgres_option
@click.option("--setup", is_flag=True, help="Print what an administrator runs once in that database.")
def mirror(workspace: Workspace, postgres: str | None, setup: bool) -> dict[str, Any]:
    """Bring a PostgreSQL database to the published release, for readers who ask a server."""
    if setup:
        with _driver():
            from quorum.mirror_setup import SETUP
        return {"setup": SETUP}
    if not postgres:
        raise BadInput("say which database: --postgres, or QUORUM_POSTGRES")
    return _mirror(workspace, postgres, progress())


def after_run(workspace: Workspace, url: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Mirror what a run has published; where that fails the run is told in full, and then the failure."""
    if not url:
        return {}
    say("mirroring in PostgreSQL")
    try:
        return {"mirror": _mirror(workspace, url, say)}
    except QuorumError as error:
        if isinstance(error, Refused):
            with suppress(QuorumError, OSError):
                AuditLog(workspace).refused("mirror", error)
        return {"failed": str(error)}


def _mirror(workspace: Workspace, url: str, say: Callable[[str], None]) -> dict[str, Any]:
    with _driver():
        from quorum.mirror import mirror
    return mirror(workspace, url, say)


@contextmanager
def _driver() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise BadInput("a mirror in PostgreSQL needs psycopg: pip install 'quorum[postgres]'") from None
