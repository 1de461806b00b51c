"""What several commands take and say alike."""

import time
from collections.abc import Callable
from datetime import date, datetime

import click

from quorum import settings


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
