"""``quorum request``, ``approve``, ``refuse`` and ``requests``: deeper looks, from the question to the decision."""

import getpass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from quorum import settings
from quorum.cli_options import as_of_option, day_option
from quorum.errors import BadInput
from quorum.workspace import Workspace


def _rho(_context: click.Context, parameter: click.Parameter, value: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        raise click.BadParameter(f"{parameter.name} must be a number") from None


_by = click.option("--by", default=getpass.getuser, help="Your name.  [default: that of your account]")


@click.argument("release")
@click.option("--metric", "metrics", multiple=True, help="One of its metrics; may be given again.  [default: all]")
@click.option("--key", "keys", multiple=True, help="One key of the metric; may be given again.  [default: all]")
@click.option("--level", "levels", multiple=True, help="A level of parents beside the atoms.  [default: all]")
@day_option("--from", "first", "First UTC day, of a whole period.")
@day_option("--to", "last", "Last UTC day.")
@click.option("--rho-atoms", callback=_rho, required=True, help="What a period costs for the atoms.")
@click.option("--rho-parents", callback=_rho, required=True, help="And for the levels of parents together.")
@day_option("--until", "until", "The last day on which it is asked and shown.")
@click.option("--why", required=True, help="What it is for.")
@_by
@as_of_option
def request(workspace: Workspace, as_of: date, **asked: Any) -> dict[str, Any]:
    """Ask for a deeper look: cells of a release, measured again with more budget. It spends nothing until approved."""
    from quorum import deciding

    return deciding.request(workspace, as_of, **asked)


@click.argument("number", type=int)
@click.option("--why", default="", help="The reason.")
@_by
@as_of_option
def approve(workspace: Workspace, as_of: date, number: int, by: str, why: str) -> dict[str, Any]:
    """Approve a deeper look that somebody else asked for: the next run measures it, if the budget has room."""
    from quorum import deciding

    return deciding.approve(workspace, as_of, number, by, why)


@click.argument("number", type=int)
@click.option("--why", required=True, help="The reason.")
@_by
def refuse(workspace: Workspace, number: int, by: str, why: str) -> dict[str, Any]:
    """Refuse a deeper look, or end one that was approved: it is shown no longer. What it spent stays spent."""
    from quorum import deciding

    if not why.strip():
        raise BadInput("a refusal says why")
    return deciding.refuse(workspace, number, by, why)


def requests(workspace: Workspace) -> dict[str, Any]:
    """List the deeper looks that were asked for, and what became of them."""
    from quorum import deciding

    return deciding.listed(workspace, settings.today())
