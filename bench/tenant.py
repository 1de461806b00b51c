"""What one more day costs the tenant plane: on 7, 30 and 90 days of history, against a build of all of them.

    python bench/tenant.py [--events-per-day 100000] [--days 7 30 90]

Pseudonymous events are made in SQL: sessions of users with devices, accounts and features. Then the tenant stage of a
night runs over them, its data tests included: once from nothing, and once after a day more. Nothing here is a test.

Whatever the data, a run costs about ten seconds of processor time for dbt's own work on two hundred models and tests,
which is part of both figures. The days are large so that it is not all that is measured; with 40000 events a day it is
more than half of what a day more costs.
"""

import argparse
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from quorum import following, nightly, warehouse
from quorum.runner import Dbt
from quorum.simulate import Shape, simulate
from quorum.workspace import Workspace

FIRST_DAY = date(2025, 1, 1)
SESSION = 8  # events
# A user comes every third day, with one of two devices. A tenth of the events happen before anybody signs in, and
# one in a hundred is a purchase.
EVENTS = """
insert into int_events by name
with tenants as (
    select tenant_key, row_number() over (order by tenant_key) - 1 as number, count(*) over () as total
    from dim_tenants where listing = 'listed'
),
sessions as (
    select
        session,
        hash(session, $day) % $users as user_number,
        $day::timestamp + cast(hash(session, $day, 1) % 80000 as integer) * interval 1 second as started_at
    from range($sessions) as numbers (session)
),
events as (
    select
        *,
        hash(session, step, $day) as dice,
        md5(format('user {}', user_number)) as user_token,
        md5(format('device {} {}', user_number, hash(session, $day) % 2)) as device_token
    from sessions
    cross join range($session) as steps (step)
)
select
    tenant_key,
    md5(format('event {} {} {}', $day, session, step)) as event_key,
    case when dice % 10 > 0 then user_token else device_token end as unit_key,
    case when dice % 10 > 0 then user_token end as user_key,
    device_token as anonymous_key,
    md5(format('account {}', user_number // 5)) as account_key,
    case
        when dice // 16 % 1000 < 4 then 'signup'
        when dice // 16 % 1000 < 10 then 'onboarding_step'
        when dice // 16 % 1000 < 20 then 'checkout'
        when dice // 16 % 1000 < 30 then 'purchase'
        when dice // 16 % 1000 < 500 then 'feature_used'
        else 'page_view'
    end as event_name,
    case when event_name = 'feature_used' then (['search', 'export'])[1 + cast(dice // 7 % 2 as int)] end as feature,
    started_at + cast(step as integer) * interval 90 second as occurred_at,
    'occurred_at' as occurred_at_rule,
    occurred_at as received_at,
    '/app' as url_path,
    (['search', 'social', null, null])[1 + cast(hash(session) % 4 as integer)] as referrer_channel,
    'web' as platform,
    '{"plan":"pro"}' as properties,
    'quorum' as source_format,
    $day::varchar as landing_file,
    session * $session + step as landing_row
from events
inner join tenants on tenants.number = user_number % tenants.total
"""
CHANGES = """
insert into int_event_changes
select tenant_key, unit_key, min(occurred_at), max(occurred_at)
from tenant.int_events
where occurred_at >= $first and occurred_at < $last + interval 2 day
group by tenant_key, unit_key, occurred_at::date
"""


def happen(workspace: Workspace, first: date, days: int, per_day: int) -> None:
    """Add some days of events to those that are accepted, and say that they are new."""
    last = first + timedelta(days=days - 1)
    with warehouse.opened(workspace, "tenant") as connection:
        for number in range(days):
            shape = {"sessions": per_day // SESSION, "session": SESSION, "users": 3 * per_day // SESSION}
            connection.execute(EVENTS, {"day": first + timedelta(days=number), **shape})
    with warehouse.opened(workspace, "restricted") as connection, warehouse.beside(connection, workspace, "tenant"):
        connection.execute(CHANGES, {"first": first, "last": last})


def built(workspace: Workspace) -> tuple[float, float]:
    """Build the tenant stage; return its seconds, by the clock and of the processor."""
    began, used = time.perf_counter(), time.process_time()
    Dbt(workspace).build("tenant", "tenant")
    taken = time.perf_counter() - began, time.process_time() - used
    following.settle(workspace)
    return taken


def forget(workspace: Workspace) -> None:
    """Drop all that the tenant stage builds; the accepted events stay, as new ones."""
    with warehouse.opened(workspace, "tenant") as connection:
        names = "select table_name from duckdb_tables() where regexp_matches(table_name, '^(fct|dim|mart|int)_')"
        for (name,) in connection.execute(names).fetchall():
            if name not in ("int_events", "dim_tenants"):
                connection.execute(f"drop table {name}")
        [(first, last)] = connection.execute(
            "select min(occurred_at)::date, max(occurred_at)::date from int_events"
        ).fetchall()
    with warehouse.opened(workspace, "restricted") as connection, warehouse.beside(connection, workspace, "tenant"):
        connection.execute(CHANGES, {"first": first, "last": last})


def main() -> None:
    """Make events, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events-per-day", type=int, default=100_000)
    parser.add_argument("--days", type=int, nargs="+", default=[7, 30, 90])
    options = parser.parse_args()
    print(f"{'':17}{'seconds':^30}{'of the processor':^30}")
    figures = f"{'all of it':>12}{'a day more':>12}{'ratio':>6}"
    print(f"{'days':>5}{'events':>12}{figures}{figures}")
    for days in options.days:
        with tempfile.TemporaryDirectory() as folder:
            shape = Shape(tenants=40, users=10, days=2)
            simulate(Path(folder), shape)
            workspace = Workspace(Path(folder))
            nightly.run(workspace, shape.last_day, lambda _step: None)
            with warehouse.opened(workspace, "tenant") as connection:
                connection.execute("delete from int_events")
            happen(workspace, FIRST_DAY, days, options.events_per_day)
            forget(workspace)
            whole, of_whole = built(workspace)
            happen(workspace, FIRST_DAY + timedelta(days=days), 1, options.events_per_day)
            one, of_one = built(workspace)
        clock, processor = (f"{a:>12.1f}{b:>12.1f}{b / a:>6.2f}" for a, b in ((whole, one), (of_whole, of_one)))
        print(f"{days:>5}{days * options.events_per_day:>12,}{clock}{processor}", flush=True)


if __name__ == "__main__":
    main()
