"""The exact cells of every atom, before they get noise, are those of a slow recomputation from each unit's own rows."""

import csv
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import nightly, public_keys, release, release_control, rules, settings, tenant_shares, warehouse
from quorum.keyring import Keyring
from quorum.measurement import Group, Plan
from quorum.policy import Spec
from quorum.runner import Dbt
from quorum.simulate_activity import FEATURES
from quorum.workspace import Workspace
from tests.bounded_vectors import Unit, vector
from tests.end_to_end import worlds
from tests.end_to_end.histories import event, registered
from tests.end_to_end.truth_releases import DAY, MINUTE, RELEASES, SECOND, Event, midnight
from tests.planting import Bug, planted

FIRST_DAY = worlds.LAST_DAY - 90 * DAY
# tenants with their users: below, at and beyond the cap of three, and two that count as one
USERS = {"lone": 1, "three": 3, "many": 9, "twin-1": 2, "twin-2": 3, "media": 6, "refuses": 3}
REGISTRY = {
    "twin-1": {"owner_group": "twins"},
    "twin-2": {"owner_group": "twins"},
    "media": {"industry": "media", "session_timeout_minutes": "5"},
    "refuses": {"benchmark_consent": "false"},
}
UNLISTED = "walks in"
ALONE = {"lone", "three", "many", "media"}
LATER = {"valid_from": "2026-03-11", "session_timeout_minutes": "60"}  # of tenant many
PAUSES = [0 * SECOND, 20 * SECOND, 60 * SECOND, 299 * SECOND]
PAUSES += [limit * MINUTE + more * SECOND for limit in (5, 30, 60) for more in (0, 1)]
NAMES = ("page_view", "page_view", "checkout", "purchase", "feature_used", "signup")


def rows() -> Iterator[dict[str, Any]]:
    """Yield random lives: who comes sometimes or often, who comes late or leaves, with an eye for borders."""
    dice = random.Random(11)
    for tenant, users in [*USERS.items(), (UNLISTED, 2)]:
        for number in range(users):
            joins, leaves = sorted(dice.choices(range(91), k=2)) if dice.random() < 0.5 else (dice.randrange(91), 91)
            chance = dice.choice((0.05, 0.2, 0.9))
            who = (
                {"user": f"user {number}"} if dice.random() < 0.8 else {"user": "", "anonymous_id": f"device {number}"}
            )
            days = [day for day in range(joins, leaves) if dice.random() < chance]
            for day in days:
                for sitting in range(dice.choice((1, 1, 3))):
                    yield from _sitting(dice, tenant, who, FIRST_DAY + day * DAY, f"{day} {sitting}")


def _sitting(dice: random.Random, tenant: str, who: dict[str, str], day: date, name: str) -> Iterator[dict[str, Any]]:
    at = midnight(day) + dice.choice((0, 0, 7, 12, 23)) * 60 * MINUTE + dice.choice((0, 59)) * MINUTE
    for number in range(dice.randint(1, 6)):
        kind = dice.choice(NAMES)
        feature = dice.choice(FEATURES) if kind == "feature_used" else None
        yield event(tenant, event_id=f"{name} {number}", occurred_at=at, event_name=kind, **who, feature=feature)
        at = min(at + dice.choice(PAUSES), midnight(worlds.LAST_DAY + DAY) - SECOND)


def newcomers() -> Iterator[dict[str, Any]]:
    """Yield who is first seen so many seconds before its first use of a feature, at the edges of bins and between."""
    used_at = midnight(worlds.LAST_DAY) + 12 * 60 * MINUTE
    for minutes in (0, 1, 4, 5, 15, 60, 239, 240, 1440, 4320, 10_080, 40_000):
        for seconds in (0, 59):
            who = {"user": f"newcomer {minutes} {seconds}", "event_name": "feature_used"}
            seen_at = used_at - minutes * MINUTE - seconds * SECOND
            yield event("media", event_id="1", occurred_at=seen_at, **who, feature=None)
            yield event("media", event_id="2", occurred_at=used_at, **who)


def due_releases(workspace: Workspace) -> list[release.Due]:
    """Return all releases, four weeks of each, with bounds that bind."""
    due = []
    for declared in rules.load_policies(workspace, Dbt(workspace), worlds.LAST_DAY).specs:
        metrics = tuple(replace(each, max_cells=min(each.max_cells, 2)) for each in declared.metrics)
        spec = replace(declared, metrics=metrics, tenant_cap=3, min_tenants=20, atom_min_contributors=1)
        layout = spec.layout(public_keys.key_sets(workspace))
        plan = Plan.of(spec, layout)
        due += [release.Due(spec, *period, layout, plan, "a policy") for period in spec.periods(worlds.LAST_DAY)]
    return due


@dataclass(frozen=True)
class World:
    workspace: Workspace
    due: list[release.Due]
    members: list[tuple[date, str, str, str]]  # period, tenant, contributor, cohort
    units: dict[str, dict[str, list[Event]]]  # events, by tenant and unit

    def share(self, due: release.Due, tenant: str, segment: str | None) -> tuple[int, ...]:
        """Return the vector of what one tenant's users have added to a segment."""
        found = [RELEASES[due.spec.name](events, due) for events in self.units[tenant].values()]
        return tuple(vector(due.layout, [[unit for here, unit in filter(None, found) if here == segment]]))

    def truth(self, due: release.Due) -> dict[Group, tuple[int, ...]]:
        """Return the vector of each group."""
        added: dict[Group, dict[str, list[Unit]]] = defaultdict(lambda: defaultdict(list))
        segments = due.spec.segments or (None,)
        for period, tenant, contributor, cohort in self.members:
            if period == due.start:
                for segment in segments:
                    added[Group(cohort, segment)].setdefault(contributor, [])
                for events in self.units[tenant].values():
                    found = RELEASES[due.spec.name](events, due)
                    if found is not None:
                        added[Group(cohort, found[0])][contributor].append(found[1])
        return {group: tuple(vector(due.layout, units.values())) for group, units in added.items()}


def build_cells(workspace: Workspace, models: Sequence[str]) -> None:
    dbt = Dbt(workspace)
    dbt.manifest()
    dbt._invoke("run", ["--select", *models, "--exclude", "cohort_quality", "--target", "cross_tenant"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    versions = [registered(tenant, **REGISTRY.get(tenant, {})) for tenant in USERS]
    versions += [registered("many", **LATER), registered("*")]
    workspace = worlds.registered(tmp_path_factory.mktemp("world"), versions)
    worlds.land(workspace, "events.jsonl", [*rows(), *newcomers()])
    workspace.prepare()
    nightly._Night(workspace, worlds.LAST_DAY, worlds.silent).ingest()
    Dbt(workspace)._invoke("run", ["--select", "+dim_tenants,path:models/tenant", "--target", "tenant"])
    due = due_releases(workspace)
    release_control.write(workspace, due, [each.spec for each in due])
    build_cells(workspace, ["path:models/cross_tenant", "path:models/release"])

    members = "select period_start, tenant_key, contributor_key, cohort_key from cohort_tenants"
    happened = """
        select tenant_key, unit_key, occurred_at, event_key, event_name, feature, session_timeout_minutes
        from int_events inner join dim_tenants using (tenant_key)
        where occurred_at >= valid_from_at and occurred_at < valid_to_at
    """
    units: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for tenant, unit, instant, key, name, feature, minutes in worlds.fetch(workspace, "tenant", happened):
        timeout = timedelta(minutes=int(minutes))
        units[tenant][unit].append(Event(instant.replace(tzinfo=UTC), key, name, feature, timeout))
    return World(workspace, due, worlds.fetch(workspace, "cross_tenant", members), units)


def found(workspace: Workspace, due: release.Due) -> dict[Group, tuple[int, ...]]:
    return release._read_cells(workspace, due)[0].vectors


@pytest.mark.parametrize("name", RELEASES)
def test_the_cells_are_those_of_a_slow_recomputation(world: World, name: str) -> None:
    weeks = [due for due in world.due if due.spec.name == name]
    assert len(weeks) == 4
    for due in weeks:
        assert found(world.workspace, due) == world.truth(due)


@pytest.mark.parametrize("name", RELEASES)
def test_each_share_is_made_of_its_tenants_own_rows(world: World, name: str, tmp_path: Path) -> None:
    """Of tenants on the registry that are a contributor by themselves, and of no other."""
    due = [each for each in world.due if each.spec.name == name]
    copy = worlds.copied(world.workspace, tmp_path / "workspace")
    with warehouse.opened(copy, "tenant") as connection:
        tenant_shares.prepare(connection)
    ids = tenant_shares.keep(copy, due)
    keys = {keys.tenant_key: tenant for tenant, keys in Keyring.open(copy.keyring).tenants().items()}
    assert UNLISTED in keys.values()
    with warehouse.opened(copy, "tenant") as connection:
        for each, id_ in zip(due, ids, strict=True):
            shares = tenant_shares.read(connection, id_)
            assert {keys[share.tenant_key] for share in shares} == ALONE
            assert len(shares) == len(ALONE) * len(each.spec.segments or (None,))
            for share in shares:
                assert share.vector == world.share(each, share.tenant_key, share.segment)
                assert share.cohorts[0] == ("atom", share.atom)
                assert [level for level, _ in share.cohorts[1:]] == ["industry", "all"][-len(share.cohorts) + 1 :]
    assert any(value for share in shares for value in share.vector)


@pytest.mark.parametrize(
    ("guard", "more"), [("count(*) = 1 and ", {"twin-1"}), (" and bool_and(listing = 'listed')", {UNLISTED, "*"})]
)
def test_who_shares_a_weight_or_is_on_no_list_would_have_one(
    guard: str, more: set[str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guard in tenant_shares.ALONE
    monkeypatch.setattr(tenant_shares, "ALONE", tenant_shares.ALONE.replace(guard, ""))
    keys = {keys.tenant_key: tenant for tenant, keys in Keyring.open(world.workspace.keyring).tenants().items()}
    with warehouse.opened(world.workspace, "cross_tenant", read_only=True) as connection:
        rows = warehouse.rows(connection, tenant_shares.ALONE, {"start": world.due[0].start})
    assert {keys[row["tenant_key"]].replace("twin-2", "twin-1") for row in rows} == ALONE | more


@pytest.mark.parametrize("name", RELEASES)
def test_shares_add_up_to_the_cells(world: World, name: str) -> None:
    sums = f"select value, list_sum(list_transform(shares, lambda share: share.value)) from dp_{name}"
    found = worlds.fetch(world.workspace, "cross_tenant", sums)
    assert all(value == (added or 0) for value, added in found)
    assert any(value for value, _ in found)


@pytest.mark.parametrize("name", RELEASES)
def test_the_world_has_what_the_cells_tell_apart(world: World, name: str) -> None:
    weeks = [due for due in world.due if due.spec.name == name]
    lives = [events for units in world.units.values() for events in units.values()]
    added = [each for due in weeks for events in lives if (each := RELEASES[name](events, due)) is not None]
    assert {segment for segment, _ in added} == set(weeks[0].spec.segments or (None,))
    for block, values in zip(weeks[0].layout.blocks, zip(*(unit for _, unit in added), strict=True), strict=True):
        if block.bound == "clamp":
            # nobody is active on more than seven days of a week
            assert any(value > block.high for value in values) or block.metric == "stickiness"
            assert any(value < block.high for value in values)
        else:
            assert frozenset().union(*values) == set(range(len(block.cells)))


def _spec(world: World, name: str) -> Spec:
    return next(due.spec for due in world.due if due.spec.name == name)


def _seed(name: str) -> list[dict[str, str]]:
    with (settings.project_directory() / "seeds" / "reference" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_funnel_shows_the_steps_of_its_seed(world: World) -> None:
    [metric] = [metric for metric in _spec(world, "funnel_conversion").metrics if metric.keys]
    steps = [row for row in _seed("benchmark_funnel_steps") if row["funnel"] == "purchase"]
    by_number = sorted({(int(row["step"]), row["key"]) for row in steps})
    assert [number for number, _ in by_number] == list(range(1, len(by_number) + 1))
    assert metric.keys == tuple(key for _, key in by_number)
    words = {row["word"] for row in _seed("vocabulary") if row["field"] == "event_name"}
    features = {row["feature"] for row in _seed("feature_catalog")}
    assert {row["event_name"] for row in steps} <= words
    assert {row["feature"] for row in steps} <= features | {""}


BUGS = {
    "a gap as long as the timeout ends a session": Bug(
        "dp_engagement",
        "sum(case when gap_us <= timeout_us then 0 else 1 end)",
        "sum(case when gap_us < timeout_us then 0 else 1 end)",
    ),
    "the timeout of today holds for all days": Bug(
        "dp_engagement",
        "and events.occurred_at >= tenants.valid_from_at\n        and events.occurred_at < tenants.valid_to_at",
        "and tenants.valid_to_at > '2100-01-01'",
    ),
    "a session goes on beyond the border": Bug(
        "dp_engagement",
        "'due.period_start, events.tenant_key, events.unit_key'",
        "'events.tenant_key, events.unit_key'",
    ),
    "a pause is engagement however long": Bug("dp_engagement", "least(gap_us, 300000000)", "gap_us"),
    "the look-back knows no beginning": Bug("dp_retention", "events.occurred_at >= due.lookback_start", "true"),
    "an age is a day older": Bug("dp_retention", "' + 6'", "' + 7'"),
    "who is new in the period has an age": Bug("dp_retention", "where first_day < period_start", ""),
    "the order of steps is nothing": Bug("dp_funnel_conversion", "(bits & (done + 1))", "bits"),
    "the order of events is nothing": Bug("dp_funnel_conversion", "'occurred_at': 'occurred_at', ", ""),
    "the first use is the first of the period": Bug("dp_time_to_value", "where value_at >= period_start", ""),
    "minutes are rounded up": Bug(
        "dp_time_to_value", "'value_at'), 60000000)", "'value_at') ~ ' + 59999999', 60000000)"
    ),
    "the middle of a range is taken off once": Bug(
        "bounded_cells", "layout.centre * contributors.users", "layout.centre"
    ),
    "a contributor has no cap": Bug("tenant_balanced", "'greatest(' ~ users ~ ', ' ~ tenant_cap ~ ')'", "tenant_cap"),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(world: World, name: str, tmp_path: Path) -> None:
    bug = BUGS[name]
    model = bug.where if bug.where.startswith("dp_") else "dp_engagement"
    workspace = worlds.copied(world.workspace, tmp_path / "workspace")
    with planted(Dbt(workspace), bug):
        build_cells(workspace, [model])
    weeks = [due for due in world.due if f"dp_{due.spec.name}" == model]
    assert any(found(workspace, due) != world.truth(due) for due in weeks)
