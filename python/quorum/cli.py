"""The console script ``quorum``: arguments in, one module's function, words or JSON out."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

import click

from quorum import __version__, cli_erase, cli_keys, cli_looks, cli_mirror, cli_workspaces, report, words
from quorum.cli_options import as_of_option, day_option, progress, refuse_clock_set_back
from quorum.errors import BadInput, QuorumError, Refused
from quorum.workspace import Workspace

Printed = dict[str, Any]
LITTLE_ROOM = 64 * 2**20  # bytes; a database grows by more at a time


class OneLine(click.Group):
    """Tells what is wrong with the arguments in one line, like every other failure."""

    def main(self, args: Sequence[str] | None = None, **options: Any) -> Any:  # type: ignore[override]
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            return super().main(given, **options | {"standalone_mode": False})
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Private marts from the product events of many tenants."""


def command(function: Callable[..., Printed]) -> Callable[..., None]:
    """Register a subcommand: it takes a workspace, returns what it found, and fails in one line."""

    @main.command(help=function.__doc__)
    @click.option(
        "--workspace",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("workspace"),
        envvar="QUORUM_WORKSPACE",
        show_default=True,
        help="The workspace directory.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print machine-readable results.")
    @wraps(function)
    def run(workspace: Path, as_json: bool, **options: Any) -> None:
        try:
            found = function(Workspace(workspace.resolve()), **options)
        except QuorumError as error:
            _record(Workspace(workspace.resolve()), function.__name__, error)
            _fail(f"{error}{_room(workspace)}", error.exit_code)
        except KeyboardInterrupt:
            _fail("stopped; the last release stands, and the next run goes on from here", 130)
        except Exception as error:  # a traceback could echo data: say what kind, keep the rest to ourselves
            room = _room(workspace)
            _fail(
                f"unexpected {type(error).__name__}{room or ': run again, and report it if it stays'}",
                1 if room else 70,
            )
        click.echo(json.dumps(found, indent=2, default=str) if as_json else words.render(function.__name__, found))
        for warning in found.get("warnings", []):
            click.echo(f"quorum: warning: {warning}", err=True)
        if found.get("outruns"):
            _fail(found["outruns"], Refused.exit_code)
        for problem in (*found.get("problems", []), *found.get("withheld", [])):
            click.echo(f"quorum: {problem}", err=True)
        if found.get("failed"):
            _fail(found["failed"], QuorumError.exit_code)
        if found.get("problems"):
            sys.exit(BadInput.exit_code)
        if found.get("withheld"):
            sys.exit(Refused.exit_code)

    return run


def _record(workspace: Workspace, name: str, error: QuorumError) -> None:
    """Write a refusal into the audit log where there is one; `verify` looks, and leaves what it sees as it is."""
    from quorum.audit import AuditLog

    if isinstance(error, Refused) and name != "verify" and workspace.audit_log.exists():
        with suppress(QuorumError, OSError):
            AuditLog(workspace).refused(name, error)


def _room(workspace: Path) -> str:
    """Say so where a disk that is full may be why something failed."""
    with suppress(OSError):
        if (free := shutil.disk_usage(workspace).free) < LITTLE_ROOM:
            return f"; only {free // 2**20} MiB are left on the disk: make room and run again, the last release stands"
    return ""


def _fail(message: str, code: int) -> None:
    click.echo(f"quorum: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.option("--accept-changes", is_flag=True, help="Publish what became fewer or other than in the last release.")
@cli_mirror.postgres_option
@as_of_option
def run(workspace: Workspace, as_of: date, accept_changes: bool, postgres: str | None) -> Printed:
    """Do the nightly job: ingest, build, release, check, publish."""
    from quorum import nightly

    refuse_clock_set_back(workspace, as_of)
    say = progress()
    found = report.of_run(workspace, nightly.run(workspace, as_of, say, accept_changes=accept_changes))
    return found | cli_mirror.after_run(workspace, postgres, say)


@day_option("--from", "first", "First UTC day.")
@day_option("--to", "last", "The last.")
@cli_mirror.postgres_option
@as_of_option
def backfill(workspace: Workspace, as_of: date, first: date, last: date, postgres: str | None) -> Printed:
    """Read the files with events of these days again and rebuild from them; what is released stays as it is."""
    from quorum import nightly

    if first > last:
        raise BadInput(f"--from {first} is after --to {last}")
    refuse_clock_set_back(workspace, as_of)
    say = progress()
    found = report.of_run(workspace, nightly.run(workspace, as_of, say, (first, last)))
    return found | cli_mirror.after_run(workspace, postgres, say)


@as_of_option
def plan(workspace: Workspace, as_of: date) -> Printed:
    """Say what the next run would release, its cost per budget and its expected error; spend nothing.

    Fails where a budget has no room for all of it.
    """
    from quorum import planning

    return planning.plan(workspace, as_of)


@click.option("--units", type=click.IntRange(1, 1000), default=1, help="Also for a person who is this many units.")
@click.option("--create", is_flag=True, help="Make the ledger that QUORUM_LEDGER names; once, before the first run.")
def ledger(workspace: Workspace, units: int, create: bool) -> Printed:
    """Show what each population has lost per week, quarter, year and lifetime, and has left."""
    from quorum import anchors, losses

    return losses.of_ledger((anchors.create_ledger if create else anchors.known_ledger)(workspace), units)


@click.option(
    "--to", "release", metavar="RELEASE", help="Which one; `quorum status` lists them.  [default: the one before]"
)
def rollback(workspace: Workspace, release: str | None) -> Printed:
    """Move readers back to an earlier release; the next run that publishes goes on from there."""
    from quorum import rollback as earlier

    with workspace.locked():
        now, instead_of = earlier.to(workspace, release)
    return {"published": now, "instead_of": instead_of, "open": workspace.published / "current"}


@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--property", "property_name", required=True, help="The property to randomise.")
@click.option("--choices", required=True, help="All that it may be, with commas between.")
@click.option("--epsilon", required=True, help="What one answer may tell of the choice behind it.")
@click.option("--user", "user_field", default="user_id", show_default=True, help="The field that says whose it is.")
@click.option("--memory", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Who was told what.")
def randomise(workspace: Workspace, source: Path, target: Path, choices: str, epsilon: str, **named: Any) -> Printed:
    """For a source, before it sends JSON lines: randomise a property of its users, once and for all for each."""
    from quorum import local_model

    told = local_model.randomise_file(
        source, target, choices=choices.split(","), epsilon=local_model.read_epsilon(epsilon), **named
    )
    return {"written": target, "users": told}


def cohorts(workspace: Workspace) -> Printed:
    """Show which cohorts there are, why, and how good they are. Exact figures: for the operator alone."""
    from quorum import cohort_report

    return cohort_report.of_cohorts(workspace)


def status(workspace: Workspace) -> Printed:
    """Show what is published, and how fresh each tenant is."""
    return report.of_status(workspace)


@click.option("--head", "written_down", help="A head that was written down: is it still there?")
@click.option("--accept-loss", is_flag=True, help="Go on with an older audit log; both chains tell of it for good.")
def verify(workspace: Workspace, written_down: str | None, accept_loss: bool) -> Printed:
    """Recheck every published checksum, the ledger and the audit log, and what each knows of the other."""
    from quorum import anchors, release_folders
    from quorum.ledger import Ledger

    files = release_folders.verify_all(workspace)
    ledger = Ledger.open(workspace.ledger_url)
    if accept_loss:
        with workspace.locked():
            anchors.accept_loss(workspace, ledger)
    ledger.verify()
    release_folders.refuse_if_behind(workspace, ledger)
    chains = anchors.verify(workspace, ledger)
    if written_down:
        anchors.contains(chains, written_down)
    if not accept_loss:
        release_folders.refuse_elsewhere(workspace, chains.audit)
    return {
        "published_files": files,
        "ledger_entries": len(chains.ledger),
        "audit_entries": len(chains.audit),
        "accepted_losses": len(chains.losses),
        "head": str(anchors.Head.of(chains.ledger[-1])),
    }


for each in (
    run,
    backfill,
    cli_workspaces.demo,
    cli_workspaces.init,
    cli_workspaces.simulate,
    plan,
    ledger,
    status,
    cohorts,
    rollback,
    randomise,
    verify,
    cli_keys.keys,
    cli_keys.access,
    cli_erase.erase,
    cli_mirror.mirror,
    cli_looks.request,
    cli_looks.approve,
    cli_looks.refuse,
    cli_looks.requests,
):
    command(each)
