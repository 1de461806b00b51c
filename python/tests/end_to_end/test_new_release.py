"""A private metric is one SQL model and one YAML block: nothing else in a copy of the project changes."""

import shutil
from pathlib import Path

import pytest

from quorum import settings
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

PROJECT = ("dbt_project.yml", "selectors.yml", "profiles", "models", "macros", "seeds", "tests")
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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with one release more."""
    original, copy = settings.project_directory(), tmp_path / "project"
    copy.mkdir()
    for name in PROJECT:
        (shutil.copytree if (original / name).is_dir() else shutil.copyfile)(original / name, copy / name)
    (copy / "models" / "release" / "dp_visits.sql").write_text(SQL)
    (copy / "models" / "release" / "_visits.yml").write_text(YAML)
    monkeypatch.setenv("QUORUM_PROJECT", str(copy))
    return copy


@pytest.mark.usefixtures("project")
def test_every_kind_of_metric_is_released_without_a_line_of_python(benchmarked_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(benchmarked_night.workspace, tmp_path / "workspace")
    worlds.unanswered(workspace)
    # the shipped budget is all spoken for
    (workspace.policy / "releases.yml").write_text("releases: {feature_usage: {rho_atoms: 0.01, rho_parents: 0.005}}")
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


def _week(workspace: Workspace) -> object:
    [(start,)] = worlds.fetch(workspace, "released", "select period_start from answer_slots where release = 'visits'")
    return start
