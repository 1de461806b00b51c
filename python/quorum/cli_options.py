"""What several commands take and say alike."""

import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import click
from click.core import ParameterSource

from quorum import settings
from quorum.errors import BadInput
from quorum.workspace import Workspace


def progress() -> Callable[[str], None]:
    """Return what tells each step with the seconds since the first."""
    began = time.monotonic()
    return lambda step: click.echo(f"[{time.monotonic() - began:6.1f} s] {step}", err=True)


def _as_of(_context: click.Context, _parameter: click.Parameter, value: datetime | None) -> date:
    day = value.date() if value else settings.last_closed_day()
    if day > settings.last_closed_day():
        raise click.BadParameter(f"{day} is not over yet, and an answer about it would stand for good")
    return day


as_of_option = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_as_of,
    help="The last closed UTC day. Default: yesterday.",
)


def day_option(name: str, parameter: str, told: str) -> Callable[[Any], Any]:
    """Return a required option that takes a UTC day."""

    def to_day(_context: click.Context, _parameter: click.Parameter, value: datetime) -> date:
        return value.date()

    kind = click.DateTime(["%Y-%m-%d"])
    return click.option(name, parameter, type=kind, callback=to_day, required=True, help=told)


def refuse_clock_set_back(workspace: Workspace, as_of: date) -> None:
    """Raise BadInput where the day is the clock's, not one that was asked for, and the last run had a later one.

    The newest days would leave tenants' pages, and an erasure would not cover what arrives late of these days.
    """
    from quorum.audit import AuditLog

    if click.get_current_context().get_parameter_source("as_of") is not ParameterSource.DEFAULT:
        return
    ended = AuditLog(workspace).of("run_ended")
    if ended and str(as_of) < ended[-1].facts["as_of"]:
        raise BadInput(
            f"the clock says that {as_of} was the last day, and the last run was as of {ended[-1].facts['as_of']}: "
            "set it right, or say --as-of"
        )
