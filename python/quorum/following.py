"""How far the tenant plane has followed events and rules: what a killed night left undone, the next one does."""

from quorum import landing_queue, warehouse
from quorum.workspace import Workspace

SCHEMA = """
create table if not exists rules_followed (
    tenant_key varchar not null,
    rules_digest varchar not null
)
"""


def prepare(workspace: Workspace) -> None:
    """Create what SQL compares the rules of today with."""
    with warehouse.opened(workspace, "tenant") as connection:
        connection.execute(SCHEMA)


def settle(workspace: Workspace) -> None:
    """Forget what changed: everything downstream has followed. Cut short, the next night follows once more."""
    with warehouse.opened(workspace, "tenant") as connection:
        connection.begin()
        # made anew and without an index: one that a full disk keeps from following a delete ends the whole process
        connection.execute("create or replace table rules_followed as from int_tenant_rules")
        connection.execute("delete from int_affected_activity")
        connection.commit()
    with warehouse.opened(workspace, "restricted") as connection:
        landing_queue.settle(connection)
