"""Where the rows of a night ended, counted: what is accepted, what is not and why, and whose they are."""

from dataclasses import dataclass
from datetime import date

from quorum import warehouse
from quorum.workspace import Workspace

ROWS = """
select
    count(*) as files,
    count(*) filter (integrity = 'none') as unchecked_files,
    coalesce(sum(rows_read), 0) as read,
    coalesce(sum(accepted_rows), 0) as accepted,
    coalesce(sum(duplicate_rows), 0) as duplicate,
    coalesce(sum(deferred_rows), 0) as deferred,
    coalesce(sum(quarantined_rows), 0) as quarantined
from gov_landing_accounting
"""
REASONS = "select reason, count(*) as n from int_quarantine group by reason order by reason"
HELD = "select distinct cast(occurred_at as date) as day from int_deferred where holds_answers"
ACTIVE = "select count(distinct tenant_key) as n from fct_person_days"


@dataclass(frozen=True)
class Counted:
    """Files, and rows by where they ended; quarantined rows by reason."""

    rows: dict[str, int]
    reasons: dict[str, int]


def of_rows(workspace: Workspace) -> Counted:
    """Count all rows that ever landed."""
    with warehouse.opened(workspace, "restricted", read_only=True) as connection:
        [counted] = warehouse.rows(connection, ROWS)
        reasons = warehouse.rows(connection, REASONS)
    return Counted({name: int(value) for name, value in counted.items()}, {row["reason"]: row["n"] for row in reasons})


def active_tenants(workspace: Workspace) -> int:
    """Count the tenants with a person who was ever active."""
    with warehouse.opened(workspace, "tenant", read_only=True) as connection:
        return int(warehouse.rows(connection, ACTIVE)[0]["n"])


def held_days(workspace: Workspace) -> list[date]:
    """Return the UTC days of rows that a tenant's quota defers, and that a benchmark would have to count."""
    with warehouse.opened(workspace, "restricted", read_only=True) as connection:
        return [row["day"] for row in warehouse.rows(connection, HELD)]
