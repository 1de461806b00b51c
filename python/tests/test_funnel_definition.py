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
GIVEN = {
    "fct_events": """
        tenant_key varchar, unit_key varchar, person_key varchar, account_key varchar, event_key varchar,
        event_name varchar, feature varchar, occurred_at timestamp, activity_date date, week_start date,
        is_activity boolean, listed_as varchar, properties varchar
    """,
    "fct_person_days": "tenant_key varchar, person_key varchar, activity_date date, excluded_as varchar",
    "fct_sessions": "tenant_key varchar, ended_at timestamp",
    "dim_funnels": """
        tenant_key varchar, funnel varchar, sequence varchar, window_hours bigint, grain varchar, held_property varchar,
        steps bigint
    """,
    "dim_funnel_steps": """
        tenant_key varchar, funnel varchar, step bigint, step_name varchar, event_name varchar, feature varchar
    """,
    "int_affected_days": "tenant_key varchar, activity_date date",
    "int_affected_attempts": "tenant_key varchar, funnel varchar, subject_key varchar, first_week date, last_week date",
    "int_affected_tenants": "tenant_key varchar",
}
# a model, what stands in it, and what does what it should not
PLANTED = {
    "the window is open": ("fct_funnel_attempts", "<= funnels.window_hours", "< funnels.window_hours"),
    "an event does what it can": ("fct_funnel_attempts", "seen.steps & (done.steps + 1)", "seen.steps & ~done.steps"),
    "strict is ordered": ("fct_funnel_attempts", "or seen.place = done.place + 1", "or true"),
    "the first event does all": ("fct_funnel_attempts", "later.steps & -later.steps", "later.steps"),
    "any order is no order": ("fct_funnel_attempts", "or funnels.sequence = 'any'", ""),
    "ties fall as they come": ("fct_funnel_attempts", "events.occurred_at, events.event_key", "events.occurred_at"),
    "listed units count": ("fct_funnel_events", "events.listed_as is null", "true"),
    "robots count": ("fct_funnel_events", "person_days.excluded_as is null", "true"),
    "nothing is held": ("fct_funnel_events", "when parts.held_property is null then ''", "when true then ''"),
    "each is a person": ("fct_funnel_events", "case parts.grain when 'account'", "case parts.grain when 'a'"),
    "nothing tears": ("fct_funnel_events", "or funnels.sequence = 'strict'", ""),
    "all is activity": ("fct_funnel_events", "or counted.is_activity", "or true"),
    "few events tear": ("fct_funnel_events", "coalesce(steps_before, 1) > 0", "false"),
    "the last instant is over": ("mart_tenant_funnels", "<= funnels.window_hours", "< funnels.window_hours"),
}
WORLDS = 300
MONDAY = datetime(2026, 3, 2)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
NAMES, FEATURES = ("a", "b", "c"), (None, "x", "y")
KINDS = (("a", None), ("b", None), ("c", None), ("a", "x"), (None, "y"), ("b", "x"))

World = tuple[list[Funnel], list[Deed]]


def a_funnel(dice: random.Random, name: str) -> Funnel:
    kinds = dice.sample(KINDS, 2)
    return Funnel(
        name,
        dice.choice(["ordered", "strict", "any"]),
        dice.choice([1, 24, 100, 336, 336]),
        dice.choice(["user", "account"]),
        dice.choice([None, None, "plan"]),
        tuple(Step(f"step {number}", *dice.choice(kinds)) for number in range(dice.randint(1, 4))),
    )


def a_history(dice: random.Random) -> list[Deed]:
    """A few persons over a few weeks; instants tie, and stand just within and just beyond the windows."""
    deeds = []
    excluded = {(person, day) for person in "pqr" for day in range(400) if dice.random() < 0.05}
    names = dice.sample(NAMES, 2)
    gaps = dice.sample([0, 1, 1, 5, 24, 100, 336], 2)
    at = MONDAY + HOUR * dice.randrange(200)
    for number in range(dice.randint(1, 60)):
        at += dice.choice([0, 1, *gaps]) * HOUR + dice.choice([0, 0, 0, 1]) * SECOND
        person = dice.choice("ppqr")
        deeds.append(
            Deed(
                person=person,
                account=dice.choice([None, "k", "k", "l"]),
                event_name=dice.choice(names),
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


def tables(worlds: dict[str, World]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield what the models read: a table and a row of it."""
    for tenant, (funnels, deeds) in worlds.items():
        for funnel in funnels:
            how = (funnel.sequence, funnel.window_hours, funnel.grain, funnel.held_property, len(funnel.steps))
            yield "dim_funnels", (tenant, funnel.name, *how)
            for number, step in enumerate(funnel.steps, start=1):
                yield "dim_funnel_steps", (tenant, funnel.name, number, step.name, step.event_name, step.feature)
        for deed in deeds:
            who = (tenant, deed.person, deed.person, deed.account, deed.tie_breaker)
            when = (deed.occurred_at, deed.occurred_at.date(), deed.week_start)
            listed_as = "internal" if deed.is_excluded and deed.person == "p" else None
            rest = (deed.is_activity, listed_as, json.dumps(deed.properties))
            yield "fct_events", (*who, deed.event_name, deed.feature, *when, *rest)
            yield "fct_sessions", (tenant, deed.occurred_at)
        for person, day, excluded in {(deed.person, deed.occurred_at.date(), deed.is_excluded) for deed in deeds}:
            excluded_as = "behaves_like_bot" if excluded and person != "p" else None
            yield "fct_person_days", (tenant, person, day, excluded_as)


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


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    dice = random.Random(5)
    return {f"{n}": ([a_funnel(dice, name) for name in ("f", "g", "h")], a_history(dice)) for n in range(WORLDS)}


@pytest.fixture(scope="module")
def expected(worlds: dict[str, World]) -> dict[str, list[Row]]:
    found = {
        tenant: rows(funnels, deeds, max(deed.occurred_at for deed in deeds))
        for tenant, (funnels, deeds) in worlds.items()
    }
    return {tenant: of_tenant for tenant, of_tenant in found.items() if of_tenant}


@pytest.fixture(scope="module")
def connection(worlds: dict[str, World]) -> duckdb.DuckDBPyConnection:
    given = defaultdict(list)
    for table, row in tables(worlds):
        given[table].append(row)
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as tenant")
    for table, columns in GIVEN.items():
        connection.execute(f"create table tenant.{table} ({columns})")
        if table in given:
            values = pa.table({f"c{place}": list(value) for place, value in enumerate(zip(*given[table], strict=True))})
            connection.register("given", values)
            connection.execute(f"insert into tenant.{table} from given")
    return connection


def built(connection: duckdb.DuckDBPyConnection, models: dict[str, str]) -> dict[str, list[Row]]:
    for name in MODELS:
        connection.execute(f"create or replace table tenant.{name} as {models[name]}")
    found = defaultdict(list)
    for tenant, *row in connection.execute("select * from tenant.mart_tenant_funnels order by all").fetchall():
        found[tenant].append(Row(*row))
    return dict(found)


def test_the_models_do_what_the_definition_says(
    connection: duckdb.DuckDBPyConnection, models: dict[str, str], expected: dict[str, list[Row]]
) -> None:
    assert built(connection, models) == expected
    reached = Counter((row.sequence, row.step) for found in expected.values() for row in found if row.reached)
    assert all(reached[sequence, step] > 4 for sequence in ("ordered", "strict", "any") for step in (1, 2, 3, 4)), (
        reached
    )


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_shows(
    bug: str, connection: duckdb.DuckDBPyConnection, models: dict[str, str], expected: dict[str, list[Row]]
) -> None:
    model, right, wrong = PLANTED[bug]
    assert right in models[model]
    assert built(connection, models | {model: models[model].replace(right, wrong)}) != expected
