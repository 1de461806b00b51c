"""Bugs planted in the models that say who is one person and who is a robot: the comparison with the truth finds each.

The tenants share one key, so that equal ids have equal pseudonyms in all of them. Only the models keep them apart.
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from quorum import nightly
from quorum.runner import Dbt
from quorum.tenant_keys import KEY_BYTES, TenantKeys
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import DAY, HOUR, MINUTE, OF_PERSONS, History
from tests.end_to_end.oracle import Oracle
from tests.planting import Bug, planted

MODELS = ("+fct_person_days,path:models/tenant", "int_listed_units")
FIRST_TO_USE = {"placed": "int_affected_activity"}  # macros
LIMITS = {"bot_daily_events": "3", "bot_daily_hours": "2"}
LATER = {"valid_from": "2024-03-11", "bot_daily_events": "100", "bot_daily_hours": "24"}


def _a_day(who: str, day: int, *seconds: int) -> list[tuple[str, str, int]]:
    """Return the events of a day of 2024-03, counted from midnight, a second apart from anybody else's."""
    return [(who, f"{who} {day} {each}", (day - 2) * DAY + 20 * MINUTE + each + ord(who[0])) for each in seconds]


ROBOTS = History(
    "robots",
    [
        [*_a_day("a", 4, 0, 60), *_a_day("b", 4, 0, 60)],
        [
            *_a_day("a", 4, 120),  # as many events as a human may have,
            *_a_day("b", 4, 120, 180),  # and one more
            *_a_day("c", 4, 0, HOUR),  # in as many hours as a human is awake,
            *_a_day("d", 4, 0, HOUR, 2 * HOUR),  # and in one more
            *_a_day("e@e", 4, 0, 60),
            *_a_day("@e", 4, 120, 180),  # a human on each of its devices, and a robot on both
            *_a_day("b", 14, 0, 60, 120, 180),  # by which day more is human
        ],
        [],
    ],
    [LIMITS, LATER],
)
LEFT = History(
    "a shared device is left, and joins the others",
    [
        [("u@d", "a", HOUR), ("v@d", "b", 2 * HOUR), ("w@d", "c", 3 * HOUR)],
        [("w@e", "c", -HOUR)],
        [],
    ],
)
# whichever of the users has the least pseudonym, one tenant knows it and has others on the device
ELSEWHERE = [
    History(f"{apart} is elsewhere", [[(f"{apart}@e", "a", 0)], [(f"{who}@d", who, ord(who)) for who in others], []])
    for apart, others in (("u", "vw"), ("v", "uw"), ("w", "uv"))
]
TENANTS = [*OF_PERSONS, LEFT, *ELSEWHERE, ROBOTS]
KEY = bytes(range(KEY_BYTES))

BUGS = {
    "only whose neighbours changed are found anew": Bug(
        "int_affected_identities", "select * from affected", "select * from touched"
    ),
    "the users of a device that changed are not": Bug(
        "int_affected_identities", "and links.anonymous_key = touched.unit_key", "and false"
    ),
    "the rest of the groups that they leave is not": Bug(
        "int_affected_identities", "and known.component_key = torn.component_key", "and false"
    ),
    "a chain is followed for one link": Bug(
        "int_identities",
        "{{ connected_components('edges') }}",
        "select tenant_key, one_key as node_key, least(one_key, min(other_key)) as component_key "
        "from edges group by tenant_key, one_key",
    ),
    "a device joins whatever number of users": Bug(
        "int_identities", "nodes.neighbours <= nodes.max_users_per_device as may_join", "true as may_join"
    ),
    "a group of whatever size is a person": Bug(
        "int_identities",
        "when count(*) over (partition by tenant_key, component_key) > max_users_per_person then unit_key",
        "when false then unit_key",
    ),
    "a device joins users of several tenants": Bug(
        "int_identities",
        "min(user_key) over (partition by tenant_key, device_key) as least_user_key",
        "min(user_key) over (partition by device_key) as least_user_key",
    ),
    "a device is linked by events of other tenants": Bug(
        "int_identities",
        "on nodes.tenant_key = links.tenant_key\n        and nodes.unit_key = links.anonymous_key",
        "on nodes.unit_key = links.anonymous_key",
    ),
    "a shared device is always whoever signed in on it last": Bug(
        "placed",
        "and {{ events }}.occurred_at >= identities.valid_from_at",
        "and identities.valid_to_at > timestamp '2100-01-01'",
    ),
    "an event stays with a person that is another now": Bug(
        "int_affected_units", "where kept.person_key <> coalesce(identities.person_key, kept.unit_key)", "where false"
    ),
    "who is busy is no robot": Bug("fct_person_days", "days.events > tenants.bot_daily_events or", ""),
    "who never sleeps is no robot": Bug("fct_person_days", "or days.active_hours > tenants.bot_daily_hours", ""),
    "who does all that is allowed is one": Bug("fct_person_days", "when days.events >", "when days.events >="),
    "the limits of today hold for all days": Bug(
        "fct_person_days", "and days.first_at >= tenants.valid_from_at", "and tenants.valid_to_at > '2100-01-01'"
    ),
}


def build_persons(dbt: Dbt, *arguments: str) -> None:
    """Build the tenant plane as far as the days of persons; no data test may find a bug before the truth does."""
    dbt.manifest()
    dbt._invoke("run", ["--select", *MODELS, "--target", "tenant", *arguments])


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A night that is over, and another of which all is done but the tenant plane."""
    columns = dict.fromkeys(LIMITS, "")
    versions = [columns | rules for tenant in TENANTS for rules in tenant.registered()]
    workspace = worlds.registered(tmp_path_factory.mktemp("halfway"), versions)
    build = Dbt.build

    def build_less(dbt: Dbt, stage: str, target: str) -> None:
        if stage == "tenant":
            build_persons(dbt)
        else:
            build(dbt, stage, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dbt, "build", build_less)
        patch.setattr(TenantKeys, "generate", lambda tenant: TenantKeys(tenant, os.urandom(16).hex(), (KEY,), KEY))
        worlds.land(workspace, "0.jsonl", (row for tenant in TENANTS for row in tenant.rows(0)))
        worlds.build(workspace)
        for batch in (1, 2):
            worlds.land(workspace, f"{batch}.jsonl", (row for tenant in TENANTS for row in tenant.rows(batch)))
        nightly._Night(workspace, worlds.LAST_DAY, worlds.silent).ingest()
    return workspace


@pytest.fixture(scope="module")
def before(halfway: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workspace]:
    """That night as far as all that a model has no part in: bugs of one model start where it would be built."""

    @cache
    def before(model: str) -> Workspace:
        workspace = worlds.copied(halfway, tmp_path_factory.mktemp(model) / "workspace")
        build_persons(Dbt(workspace), "--exclude", f"{model}+")
        return workspace

    return before


Rows = dict[str, Counter[tuple[Any, ...]]]  # by tenant


def found(workspace: Workspace) -> tuple[Rows, Rows]:
    """Return who did each event, and why each day of a person counts in no metric."""
    events = "select tenant_key, occurred_at, person_key from fct_events"
    days = "select tenant_key, person_key, activity_date, excluded_as from fct_person_days"
    who, why = (
        {tenant: Counter(rows) for tenant, rows in worlds.rows_by_tenant(workspace, query).items()}
        for query in (events, days)
    )
    return who, why


@pytest.fixture(scope="module")
def truth(halfway: Workspace) -> tuple[Rows, Rows]:
    """Return the same, worked out from the raw lines. No two events of a tenant are at one instant."""
    oracle = Oracle(halfway.root, worlds.LAST_DAY)
    units = worlds.rows_by_tenant(halfway, "select tenant_key, occurred_at, unit_key from int_events")
    who, why = {}, {}
    for tenant, events in oracle.by_tenant().items():
        at = {instant.replace(tzinfo=UTC): key for instant, key in units[tenant]}
        assert len(at) == len(units[tenant]) == len(events)
        keys = {event.unit: at[event.occurred_at] for event in events}
        whose = [(event.occurred_at.replace(tzinfo=None), keys[oracle.person(event)]) for event in events]
        who[tenant] = Counter(whose)
        why[tenant] = Counter((keys[person], day, kept) for (person, day), kept in oracle.excluded(events).items())
    return who, why


def test_equal_ids_of_two_tenants_have_equal_pseudonyms(halfway: Workspace) -> None:
    units = worlds.rows_by_tenant(halfway, "select distinct tenant_key, unit_key from int_events")
    tenants = Counter(unit for found in units.values() for unit in found)
    assert max(tenants.values()) > len(TENANTS) / 2


def test_the_models_are_right(halfway: Workspace, truth: tuple[Rows, Rows], tmp_path: Path) -> None:
    workspace = worlds.copied(halfway, tmp_path / "workspace")
    build_persons(Dbt(workspace))
    assert found(workspace) == truth


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(
    name: str, before: Callable[[str], Workspace], truth: tuple[Rows, Rows], tmp_path: Path
) -> None:
    model = FIRST_TO_USE.get(BUGS[name].where, BUGS[name].where)
    workspace = worlds.copied(before(model), tmp_path / "workspace")
    dbt = Dbt(workspace)
    dbt.manifest()
    with planted(dbt, BUGS[name]):
        dbt._invoke("run", ["--select", f"{MODELS[0]},{model}+", "--target", "tenant"])
    assert found(workspace) != truth
