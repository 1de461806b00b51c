"""What redaction costs: rows per second of the same staging with it, and with the typed columns copied instead.

    python bench/redaction.py [--tenants 60] [--users 120]

Raw lines of the simulator wait in the queue of a workspace; each measurement makes a table of them, in the project's
own SQL: the best of three, in seconds of a core. Beside the shipped policy, one that scrubs a free text too. Nothing
here is a test.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from quorum import keyring_plugin, nightly, settings
from quorum.keyring import Keyring
from quorum.runner import Dbt
from quorum.simulate import Shape, simulate
from quorum.workspace import Workspace

MODELS = settings.project_directory() / "models" / "redaction"
POLICIES = '"restricted"."main"."int_field_policies"'
COPIED = [
    *("tenant_id", "event_id", "event_name", "feature", "occurred_at", "occurred_at_rule", "received_at", "user_id"),
    *("anonymous_id", "account_id", "session_id", "url", "referrer", "ip", "user_agent", "country", "platform"),
    *("duration_ms", "value_minor", "properties", "source_format", "landing_file", "landing_row"),
]
WITH_FREE_TEXT = f"""
create temp table with_free_text as select * replace (
    property_rules || [struct_pack(property := 'comment', class := 'free_text', words := null, action := 'scrub')]
        as property_rules
) from {POLICIES}
"""


class QueueIsFull(Exception):
    """The rows are typed, and the night has gone as far as it should."""


def stop_before_redaction(step: str) -> None:
    if step.startswith("redacting"):
        raise QueueIsFull


def queued(root: Path, shape: Shape) -> Workspace:
    """Make a workspace whose relations are built, and whose queue holds a batch of new rows."""
    simulate(root, shape)
    workspace = Workspace(root)
    landing = workspace.landing.rename(root / "later")
    (workspace.landing / "quorum").mkdir(parents=True)
    nightly.run(workspace, shape.last_day, lambda _step: None)
    (workspace.landing / "quorum").rmdir()
    workspace.landing.rmdir()
    landing.rename(workspace.landing)
    try:
        nightly.run(workspace, shape.last_day, stop_before_redaction)
    except QueueIsFull:
        return workspace
    sys.exit("no rows were queued")


def opened(workspace: Workspace) -> duckdb.DuckDBPyConnection:
    """Open the warehouse with the keys beside it, as dbt does."""
    connection = duckdb.connect(str(workspace.plane("tenant")))
    connection.execute(f"attach '{workspace.plane('restricted')}' as restricted")
    connection.execute("set TimeZone = 'UTC'")
    keyring_plugin.attach(connection, Keyring.open(workspace.keyring))
    return connection


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenants", type=int, default=60)
    parser.add_argument("--users", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = queued(Path(folder), Shape(tenants=options.tenants, users=options.users))
        dbt = Dbt(workspace)
        typed, redacted = (
            dbt.compiled((MODELS / f"{name}.sql").read_text()) for name in ("int_events_landed", "int_events_redacted")
        )
        connection = opened(workspace)
        connection.execute(WITH_FREE_TEXT)

        def seconds(query: str) -> float:
            taken = []
            for _ in range(3):
                began = time.process_time()
                connection.execute(f"create or replace temp table made as {query}")
                taken.append(time.process_time() - began)
            return min(taken)

        staging = seconds(typed)
        results = {
            "typed columns copied": seconds(
                f"select {', '.join(COPIED)} from restricted.main.int_events_landed where reason is null"
            ),
            "redacted": seconds(redacted),
            "redacted, free text scrubbed": seconds(redacted.replace(POLICIES, "with_free_text")),
        }
        (rows,) = connection.execute("select count(*) from restricted.main.int_events_landed").fetchone() or (0,)
        connection.close()
    copied = results["typed columns copied"]
    print(f"{rows:,} rows, {staging:.1f} s to parse, type and judge them")
    print(f"{'':<30}{'seconds':>9}{'rows/s':>11}{'of copied':>11}{'with staging':>14}{'of copied':>11}")
    for name, taken in results.items():
        print(f"{name:<30}{taken:>9.2f}{rows / taken:>11,.0f}{copied / taken:>11.2f}", end="")
        print(f"{rows / (staging + taken):>14,.0f}{(staging + copied) / (staging + taken):>11.2f}")


if __name__ == "__main__":
    main()
