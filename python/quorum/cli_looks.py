"""``quorum request``, ``approve``, ``refuse`` and ``requests``: deeper looks, from the question to the decision."""

import getpass
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from quorum.cli_options import as_of_option
from quorum.errors import BadInput
from quorum.workspace import Workspace


def _utc_day(_context: click.Context, _parameter: click.Parameter, value: datetime) -> date:
    return value.date()


def _rho(_context: click.Context, parameter: click.Parameter, value: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        raise click.BadParameter(f"{parameter.name} must be a number") from None


def _day(name: str, parameter: str, words: str) -> Callable[[Any], Any]:
    kind = click.DateTime(["%Y-%m-%d"])
    return click.option(name, parameter, type=kind, callback=_utc_day, required=True, help=words)


_by = click.option("--by", default=getpass.getuser, help="Your name.  [default: that of your account]")


@click.argument("release")
@click.option("--metric", "metrics", multiple=True, help="One of its metrics; may be given again.  [default: all]")
@click.option("--key", "keys", multiple=True, help="One key of the metric; may be given again.  [default: all]")
@click.option("--level", "levels", multiple=True, help="A level of parents beside the atoms.  [default: all]")
@_day("--from", "first", "First UTC day, of a whole period.")
@_day("--to", "last", "Last UTC day.")
@click.option("--rho-atoms", callback=_rho, required=True, help="What a period costs for the atoms.")
@click.option("--rho-parents", callback=_rho, required=True, help="And for the levels of parents together.")
@_day("--until", "until", "The last day on which it is asked and shown.")
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

    return deciding.listed(workspace, datetime.now(UTC).date())
