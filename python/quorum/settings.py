"""Where the dbt project is, and the few settings that come from the environment."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from quorum.errors import BadInput

FORMATS_ROOT = Path("models", "staging")


def project_directory() -> Path:
    """Return the folder of ``dbt_project.yml``: ``QUORUM_PROJECT``, else the checkout this package lives in."""
    root = Path(os.environ.get("QUORUM_PROJECT") or Path(__file__).parents[2]).resolve()
    if not (root / "dbt_project.yml").is_file():
        raise BadInput(f"no dbt_project.yml in {root}: set QUORUM_PROJECT to the project's folder")
    return root


def formats() -> list[str]:
    """Return the raw formats that have a staging folder."""
    return sorted(p.name for p in (project_directory() / FORMATS_ROOT).iterdir() if p.is_dir())


def memory_limit() -> str:
    """Return DuckDB's memory limit, for example ``3GB``."""
    return os.environ.get("QUORUM_MEMORY_LIMIT", "3GB")


def batch_rows() -> int:
    """Return how many raw rows are judged at a time; more are cut into batches."""
    given = os.environ.get("QUORUM_BATCH_ROWS", "1000000")
    try:
        rows = int(given)
    except ValueError:
        rows = 0
    if rows < 1:
        raise BadInput(f"QUORUM_BATCH_ROWS is {given!r}: it must be a whole number of at least 1")
    return rows


def today() -> date:
    """Return the day by the wall clock, UTC: for what people did when. Everything else takes the as-of day."""
    return datetime.now(UTC).date()


def last_closed_day() -> date:
    """Return yesterday, UTC: the as-of day where none is told."""
    return today() - timedelta(days=1)
