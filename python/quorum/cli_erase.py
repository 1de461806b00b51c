"""The command ``quorum erase``: arguments in, a receipt out."""

from datetime import date
from pathlib import Path
from typing import Any

import click

from quorum.cli_options import as_of_option, progress, refuse_clock_set_back
from quorum.errors import BadInput
from quorum.workspace import Workspace


@click.option("--tenant", required=True, help="The tenant. Without users and devices all of it is erased.")
@click.option("--user", "users", multiple=True, help="A user id; may be given again and again.")
@click.option(
    "--users", "listed", type=click.Path(path_type=Path, dir_okay=False), help="A file of user ids, one a line."
)
@click.option("--device", "devices", multiple=True, help="An anonymous id: rows that name it and no user.")
@click.option("--check", "nonce", help="Erase nothing: show that a receipt with this nonce is of these ids.")
@as_of_option
def erase(
    workspace: Workspace,
    as_of: date,
    tenant: str,
    users: tuple[str, ...],
    listed: Path | None,
    devices: tuple[str, ...],
    nonce: str | None,
) -> dict[str, Any]:
    """Forget users, devices or a whole tenant: in raw files and in the warehouse now, in bundles with the next run."""
    from quorum import erasure, landing

    request = erasure.Request(tenant, users + _ids(listed), devices)
    if nonce is not None:  # an empty one, of a script that lost it, must not erase
        return erasure.proof(workspace, nonce, request)
    if listed and not request.users:
        raise BadInput(f"{listed} holds no id: nothing was erased")
    refuse_clock_set_back(workspace, as_of)
    receipt = erasure.erase(workspace, as_of, request, progress())
    return {
        "tenant_key": receipt.tenant_key,
        "erased": receipt.people or "the tenant",
        "rows_found": receipt.rows,
        "files": receipt.forgotten.counts(),
        "audit_entry": receipt.audit_entry,
        "nonce": receipt.nonce,
        "problems": landing.told(receipt.problems),
    }


def _ids(listed: Path | None) -> tuple[str, ...]:
    try:
        text = listed.read_text("utf-8") if listed else ""
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{listed} cannot be read as UTF-8") from None
    return tuple(line for line in text.split("\n") if line.strip())
