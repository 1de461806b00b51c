"""A private metric is one SQL model and one YAML block: nothing else in a copy of the project changes."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import settings
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import registered
from tests.projects import copied_project

SQL = """
with due as (

    select period_start, period_end
    from {{ source('cross_tenant_control', 'release_periods') }}
    where release = 'visits'

),

events as (

    select * from {{ ref('int_events') }}

),

units as (

    select
        due.period_start,
        events.tenant_key,
        events.unit_key,
        cast(null as varchar) as segment,
        count(*) as events,
        count(distinct cast(events.occurred_at as date)) as days
    from events
    inner join due on events.occurred_at >= due.period_start and events.occurred_at < due.period_end
    group by due.period_start, events.tenant_key, events.unit_key

),

contributions as (

    select period_start, tenant_key, unit_key, segment, 'events' as metric, null as key, events as value from units
    union all
    select period_start, tenant_key, unit_key, segment, 'days' as metric, null as key, days as value from units
    union all
    select period_start, tenant_key, unit_key, segment, 'busy' as metric, null as key, events as value from units
    union all
    select
        period_start, tenant_key, unit_key, segment, 'regular' as metric,
        case when days >= 3 then 'often' else 'seldom' end as key, null as value
    from units

)

{{ bounded_cells('visits', 'contributions') }}
"""
YAML = """
version: 2

models:
  - name: dp_visits
    description: One row per period, atom, segment, metric and key; exact, before noise.
    config:
      meta:
        release:
          name: visits
          population: product_users
          owner: product analytics
          unit: one end user of one tenant, per period
          default_period: week
          periods: {week: {rho_atoms: "0.010", rho_parents: "0.005", history: 1}}
          levels: [all]
          min_tenants: 5
          tenant_cap: 50
          atom_min_contributors: 20
          delta: "1e-7"
          gate_z: "5.6"
          tolerance_points: 6
          metrics:
            - {name: visitors, kind: count, estimand: tenant-weighted active users}
            - {name: events, kind: mean, low: 0, high: 100, estimand: per active user}
            - {name: days, kind: sum, low: 0, high: 7, estimand: active days}
            - name: events_per_day
              kind: ratio
              numerator: events
              denominator: days
              ceiling: 100
              estimand: events per active day
            - {name: regular, kind: histogram, keys: [often, seldom], estimand: share of active users}
            - name: busy
              kind: quantile
              edges: [1, 2, 5, 10, 20, 50, 100]
              shares: [0.5, 0.9]
              estimand: events of an active user
"""
TRUTH = """
    with users as (
        select tenant_key, unit_key, count(*) as events, count(distinct occurred_at::date) as days
        from int_events where occurred_at >= $1 group by all
    ),
    weighed as (select *, least(1, 50 / count(*) over (partition by tenant_key)) as weight from users)
    select
        sum(weight),
        sum(weight * least(events, 100)) / sum(weight),
        sum(weight * days),
        sum(weight * least(events, 100)) / sum(weight * days),
        sum(weight * (days >= 3)::int) / sum(weight)
    from weighed semi join (select * from dim_tenants where benchmark_consent) using (tenant_key)
"""


# the shipped budget is all spoken for
ROOM = "feature_usage: {rho_atoms: 0.005, rho_parents: 0.005}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project with a release more, and with those of the example."""
    example = settings.project_directory() / "docs" / "examples" / "page_usage"
    with pytest.MonkeyPatch.context() as patch:
        copy = copied_project(tmp_path_factory.mktemp("extended"), patch)
        releases = copy / "models" / "release"
        (releases / "dp_visits.sql").write_text(SQL)
        (releases / "_visits.yml").write_text(YAML)
        shutil.copytree(example, releases, dirs_exist_ok=True)
        yield copy


@pytest.mark.usefixtures("benchmarked_night", "project")  # in this order: the night is one of the shipped project
def test_every_kind_of_metric_is_released_without_a_line_of_python(benchmarked_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(benchmarked_night.workspace, tmp_path / "workspace")
    worlds.unanswered(workspace)
    (workspace.policy / "releases.yml").write_text(f"releases: {{{ROOM}}}")
    done = worlds.quorum(workspace, "run", f"--as-of={worlds.LAST_DAY}")
    assert done.exit_code == 0, done.output

    query = (
        "select metric, metric_key, status, estimate, estimate_low, estimate_high, users, rho from mart_benchmarks "
        "where release = 'visits' and cohort_level = 'all'"
    )
    rows = worlds.fetch(workspace, "released", query)
    figures = {(metric, key): estimate for metric, key, _, estimate, *_ in rows}
    assert figures.keys() == {
        *((name, "*") for name in ("visitors", "events", "days", "events_per_day")),
        *(("regular", key) for key in ("often", "seldom")),
        *(("busy", key) for key in ("p50", "p90")),
    }
    assert {status for _, _, status, *_ in rows} == {"released"}
    assert {rho for *_, rho in rows} == {0.015}
    [truth] = worlds.fetch(workspace, "tenant", TRUTH, [_week(workspace)])
    names = (("visitors", "*"), ("events", "*"), ("days", "*"), ("events_per_day", "*"), ("regular", "often"))
    for name, true in zip(names, truth, strict=True):
        assert figures[name] == pytest.approx(float(true), rel=0.1), name
    [interval] = [row[4:6] for row in rows if row[:2] == ("busy", "p50")]
    assert interval[0] <= figures["busy", "p50"] <= interval[1] <= 100
    assert figures["busy", "p50"] < figures["busy", "p90"]
    catalog = worlds.fetch(
        workspace, "released", "select count(*) from mart_benchmark_catalog where release = 'visits'"
    )
    assert catalog == [(6,)]

    # a selection passes the gate that stands before a release: keys, and no figure of them
    query = "select distinct metric_key, kind, status, estimate, users from mart_benchmarks where release = 'page_keys'"
    selected = {row for row in worlds.fetch(workspace, "released", query) if row[2] == "released"}
    assert {row[1:] for row in selected} == {("keys", "released", None, None)}
    pages = (
        "select url_path from int_events where occurred_at >= $1 group by all having count(distinct tenant_key) >= 5"
    )
    known = {page for (page,) in worlds.fetch(workspace, "tenant", pages, [_week(workspace)])}
    assert "/:id" in {key for key, *_ in selected} <= known


def _week(workspace: Workspace) -> object:
    [(start,)] = worlds.fetch(workspace, "released", "select period_start from answer_slots where release = 'visits'")
    return start


HOMES = [f"tenant-{number:02}" for number in range(22)]
USERS = 50
# Who of a tenant's users visits a page, and which tenants have it at all.
PAGES = {
    "/home": (range(USERS), HOMES),
    "/reports": (range(USERS - 10), HOMES),
    "/projects": (range(USERS // 10), HOMES),  # too few of them in any sample
    "/billing/export": (range(USERS), HOMES[:4]),  # a quorum of users, had each tenant not its cap
    "/api/automate": (range(USERS), HOMES[:1]),
}


def visits(week: date) -> Iterator[dict[str, Any]]:
    for page, (users, tenants) in PAGES.items():
        for tenant in tenants:
            for user in users:
                yield {
                    "tenant_id": tenant,
                    "event_id": f"{week} {page} {user}",
                    "event_name": "page_view",
                    "url": f"https://{tenant}.example.com{page}?token=1",
                    "occurred_at": f"{week}T12:00:00Z",
                    "received_at": f"{week}T12:00:00Z",
                    "user_id": f"user {user}",
                }


@pytest.mark.usefixtures("project")
def test_a_metric_asks_about_keys_that_an_earlier_week_selected(tmp_path: Path) -> None:
    workspace = worlds.registered(tmp_path, map(registered, HOMES))
    workspace.policy.mkdir()
    (workspace.policy / "releases.yml").write_text(
        f"releases: {{{ROOM}, visits: {{rho_atoms: 0.002, rho_parents: 0.002}}}}"
    )
    last = worlds.LAST_DAY - timedelta(days=6)
    weeks = [last - timedelta(weeks=1), last]
    worlds.land(workspace, "visits.jsonl", (row for week in weeks for row in visits(week)))
    night = worlds.events_alone(workspace)

    asked, keys, waiting = [], [], []
    for _ in range(2):
        plan = worlds.quorum(workspace, "plan", f"--as-of={worlds.LAST_DAY}")
        waiting.append("page_usage waits until there is a key that it may ask about" in plan.stdout)
        night.answer()
        assert not [outcome.refusal for outcome in night.report.outcomes if outcome.refusal]
        answered = {(outcome.due.spec.name, outcome.due.start) for outcome in night.report.outcomes}
        asked.append({start for name, start in answered if name == "page_usage"})
        keys.append({start for name, start in answered if name == "page_keys"})
    assert asked == [set(), {last}], "the week before the last has no selection before it"
    assert (len(keys[0]), keys[1]) == (4, set())
    assert waiting == [True, False]

    figures = "select period_start, metric_key, estimate from mart_benchmarks where status = 'released' and release = "
    selected = {(start, key) for start, key, _ in worlds.fetch(workspace, "released", f"{figures} 'page_keys'")}
    assert selected == {(week, page) for week in weeks for page in ("/home", "/reports")}
    shares = worlds.fetch(workspace, "released", f"{figures} 'page_usage' and cohort_level = 'all'")
    estimates = {key: estimate for start, key, estimate in shares if start == last}
    assert estimates == pytest.approx({"/home": 1, "/reports": 0.8}, abs=0.1)
    facts = "select kind, bounds, cells, least_eligible_users from mart_benchmark_catalog where release = 'page_keys'"
    assert worlds.fetch(workspace, "released", facts) == [("keys", "3 keys, of a sample of users", 0, 237)]
