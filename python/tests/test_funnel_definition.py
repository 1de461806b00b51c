"""The models of funnels over random little histories, held against the definition in plain Python."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end.truth_funnels import Deed, Funnel, Row, Step, rows

MODELS = ("fct_funnel_events", "fct_funnel_attempts", "mart_tenant_funnels")
GIVEN = """
create table tenant.fct_events (
    tenant_key varchar, unit_key varchar, person_key varchar, account_key varchar, event_key varchar, event_name varchar,
    feature varchar, occurred_at timestamp, activity_date date, week_start date, is_activity boolean, listed_as varchar,
    properties varchar
);
create table tenant.fct_person_days (tenant_key varchar, person_key varchar, activity_date date, excluded_as varchar);
create table tenant.fct_sessions (tenant_key varchar, ended_at timestamp);
create table tenant.dim_funnels (
    tenant_key varchar, funnel varchar, sequence varchar, window_hours bigint, grain varchar, held_property varchar, steps bigint
);
create table tenant.dim_funnel_steps (
    tenant_key varchar, funnel varchar, step bigint, step_name varchar, event_name varchar, feature varchar
);
create table tenant.int_affected_days (tenant_key varchar, activity_date date);
create table tenant.int_affected_funnel_weeks (tenant_key varchar, first_week date, last_week date);
create table tenant.int_affected_tenants (tenant_key varchar);
"""
MONDAY = datetime(2026, 3, 2)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)
NAMES, FEATURES = ("a", "b", "c"), (None, "x", "y")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SQL of a first build."""
    root = tmp_path_factory.mktemp("compiled")
    (root / "landing").mkdir()
    workspace = Workspace(root)
    workspace.prepare()
    dbt = Dbt(workspace)
    dbt.manifest()
    compiled = dbt._invoke("compile", ["--select", *MODELS])
    return {result.node.name: result.node.compiled_code for result in compiled.results}


def a_funnel(dice: random.Random, name: str) -> Funnel:
    steps = tuple(
        Step(f"step {number}", *dice.choice([("a", None), ("b", None), ("c", None), ("a", "x"), (None, "y"), ("b", "x")]))
        for number in range(dice.randint(1, 4))
    )
    return Funnel(
        name,
        dice.choice(["ordered", "strict", "any"]),
        dice.choice([1, 24, 100, 336]),
        dice.choice(["user", "account"]),
        dice.choice([None, None, "plan"]),
        steps,
    )


def a_history(dice: random.Random) -> list[Deed]:
    """A few persons over a few weeks; instants tie, and stand just within and just beyond the windows."""
    deeds = []
    excluded = {(person, day) for person in "pqr" for day in range(400) if dice.random() < 0.05}
    gaps = dice.sample([0, 1, 5, 24, 100, 336], 3)
    at = MONDAY + HOUR * dice.randrange(200)
    for number in range(dice.randint(1, 40)):
        at += dice.choice([0, *gaps]) * HOUR + dice.choice([0, 0, 0, 1]) * SECOND
        person = dice.choice("ppqr")
        deeds.append(
            Deed(
                person=person,
                account=dice.choice([None, "k", "k", "l"]),
                event_name=dice.choice(NAMES),
                feature=dice.choice(FEATURES),
                occurred_at=at,
                tie_breaker=f"{dice.randrange(10)}{number}",
                week_start=at.date() - DAY * at.weekday(),
                is_activity=dice.random() < 0.8,
                is_excluded=(person, (at - MONDAY).days) in excluded,
                properties=dice.choice([{}, {"plan": "pro"}, {"plan": "pro"}, {"plan": "free"}]),
            )
        )
    return deeds


def tables(worlds: dict[str, tuple[list[Funnel], list[Deed]]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield what the models read: a table and a row of it."""
    for tenant, (funnels, deeds) in worlds.items():
        for funnel in funnels:
            declared = (funnel.sequence, funnel.window_hours, funnel.grain, funnel.held_property, len(funnel.steps))
            yield "dim_funnels", (tenant, funnel.name, *declared)
            for number, step in enumerate(funnel.steps, start=1):
                yield "dim_funnel_steps", (tenant, funnel.name, number, step.name, step.event_name, step.feature)
        for deed in deeds:
            listed_as = "internal" if deed.is_excluded and deed.person == "p" else None
            key = (tenant, deed.person, deed.person, deed.account, deed.tie_breaker, deed.event_name, deed.feature)
            when = (deed.occurred_at, deed.occurred_at.date(), deed.week_start)
            yield "fct_events", (*key, *when, deed.is_activity, listed_as, json.dumps(deed.properties))
            yield "fct_sessions", (tenant, deed.occurred_at)
        for person, day, is_excluded in {(deed.person, deed.occurred_at.date(), deed.is_excluded) for deed in deeds}:
            yield "fct_person_days", (tenant, person, day, "behaves_like_bot" if is_excluded and person != "p" else None)


def test_the_models_do_what_the_definition_says(models: dict[str, str]) -> None:
    dice = random.Random(5)
    worlds = {
        f"tenant {number}": ([a_funnel(dice, f"funnel {letter}") for letter in "mn"], a_history(dice))
        for number in range(300)
    }
    given = defaultdict(list)
    for table, row in tables(worlds):
        given[table].append(row)
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as tenant")
    connection.execute(GIVEN)
    for table, found in given.items():
        columns = pa.table({f"c{place}": list(column) for place, column in enumerate(zip(*found, strict=True))})
        connection.register("found", columns)
        connection.execute(f"insert into tenant.{table} from found")
    for name in MODELS:
        connection.execute(f"create table tenant.{name} as {models[name]}")
    marts: dict[str, list[Row]] = defaultdict(list)
    for tenant, *row in connection.execute("select * from tenant.mart_tenant_funnels order by all").fetchall():
        marts[tenant].append(tuple(row))
    for tenant, (funnels, deeds) in worlds.items():
        expected = rows(funnels, deeds, max(deed.occurred_at for deed in deeds))
        assert marts[tenant] == expected, (tenant, funnels)
    reached = Counter(row[2] for found in marts.values() for row in found if row[8])
    assert min(reached[step] for step in (1, 2, 3, 4)) > 20, reached
