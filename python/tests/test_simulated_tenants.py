"""What a tenant's own metrics have to cope with, in a simulated world: as it lands, and as the truth has it."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby

import pytest

from quorum.simulate import Shape
from tests.simulated import Row, Simulated, simulated, unit_of

LARGEST, UNEVEN = "acme-001", "globex-002"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulated(tmp_path_factory.mktemp("world"), Shape(tenants=6, users=60, days=28))


def _counted_days(world: Simulated) -> Iterator[tuple[str, str, list[Row], bool, bool]]:
    """Yield the days of each person: tenant, local date, rows, whether there is activity, and whether it counts."""
    days: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in world.accepted:
        kind = "user" if row["user_id"] else "device"
        days[
            row["tenant_id"], str(world.local_date(row)), world.people[row["tenant_id"], kind, unit_of(row)[1]]
        ].append(row)
    versions: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for rule in world.table("registry/active_events.csv"):
        versions[rule["tenant_id"]][rule["valid_from"]].add(rule["event_name"])
    listings = world.table("registry/internal_users.csv")
    for (tenant_id, day, _), rows in days.items():
        defined = versions.get(tenant_id, {})
        begun = max((valid_from for valid_from in defined if valid_from <= day), default=min(defined, default=""))
        is_active = any(not begun or row["event_name"] in defined[begun] for row in rows)
        listed = {
            (listing["tenant_id"], listing["user_id"] or listing["anonymous_id"])
            for listing in listings
            if listing["valid_from"] <= day
        }
        threshold = int(world.registry()[tenant_id]["bot_daily_events"])
        counts = len(rows) <= threshold and not any(
            unit_of(row) in listed or "Crawler" in row["user_agent"] for row in rows
        )
        yield tenant_id, day, rows, is_active, counts


def test_tenant_daily_is_what_the_files_hold_by_the_tenants_rules(world: Simulated) -> None:
    by_day: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for tenant_id, day, rows, is_active, counts in _counted_days(world):
        by_day[tenant_id, day]["active_users"] += is_active and counts
        by_day[tenant_id, day]["events" if counts else "excluded_events"] += len(rows)
    assert world.table("truth/tenant_daily.csv") == [
        {
            "tenant_id": tenant_id,
            "local_date": local_date,
            **{name: str(counts[name]) for name in ("active_users", "events", "excluded_events")},
        }
        for (tenant_id, local_date), counts in sorted(by_day.items())
    ]


def test_people_are_told_apart_as_far_as_devices_tell(world: Simulated) -> None:
    found, expected, humans = defaultdict(set), defaultdict(set), defaultdict(set)
    for row in world.table("truth/people.csv"):
        unit = (row["tenant_id"], row["kind"], row["identifier"])
        found[row["person"]].add(unit)
        expected[world.people[unit]].add(unit)
        if row["kind"] == "user":
            humans[row["person"]].add(row["human"])
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected.values()))
    assert sum(map(len, found.values())) == len(world.people)
    users = {person: sum(kind == "user" for _, kind, _ in units) for person, units in found.items()}
    # two users are one human with two ids, or two humans at one desktop; a kiosk is nobody
    assert {len(humans[person]) for person, count in users.items() if count == 2} == {1, 2}
    assert {len(humans[person]) for person, count in users.items() if count == 1} == {1}
    assert set(users.values()) == {0, 1, 2}


def test_some_look_around_before_they_sign_up(world: Simulated) -> None:
    sessions = defaultdict(list)
    for row in sorted(world.accepted, key=lambda row: row["occurred_at"]):
        sessions[row["session_id"]].append(row)
    mixed = [rows for rows in sessions.values() if len({row["user_id"] for row in rows}) > 1]
    assert len(mixed) > 5
    for rows in mixed:
        unknown, known = ([*part] for _, part in groupby(rows, key=lambda row: row["user_id"] is not None))
        assert known[0]["event_name"] == "signup"
        assert {row["anonymous_id"] for row in unknown} == {row["anonymous_id"] for row in known}


def test_each_larger_tenant_has_a_kiosk(world: Simulated) -> None:
    users = defaultdict(set)
    for row in world.accepted:
        users[row["tenant_id"], row["anonymous_id"]].add(row["user_id"])
    kiosks = {device: known for device, known in users.items() if len(known) > 2}
    assert sorted(tenant_id for tenant_id, _ in kiosks) == [LARGEST, UNEVEN]
    assert all(None not in known for known in kiosks.values())


def test_two_robots_visit_the_largest_tenant(world: Simulated) -> None:
    declared = {unit_of(row) for row in world.accepted if "Crawler" in row["user_agent"]}
    threshold = int(world.registry()[LARGEST]["bot_daily_events"])
    days, hours = Counter[tuple[str, str]](), defaultdict(set)
    for row in world.accepted:
        day = row["occurred_at"][:10]
        days[unit_of(row)[1], day] += 1
        hours[unit_of(row)[1], day].add(row["occurred_at"][11:13])
    busy = {unit for (unit, _), count in days.items() if count > threshold}
    assert len(declared) == len(busy) == 1
    [robot] = busy
    assert "bot" not in robot
    assert {len(hours[unit, day]) for (unit, day) in days if unit == robot} == {24}
    assert sum(count for (unit, _), count in days.items() if unit == robot) < len(world.lines) / 20


def test_an_experiment_has_an_effect_and_another_an_uneven_sample(world: Simulated) -> None:
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    checked_out, bought = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    starts = {row["tenant_id"]: row["starts_on"] for row in world.table("registry/experiments.csv")}
    for row in world.accepted:
        user, properties = unit_of(row), row["properties"]
        assert (properties["variant"] is None) == (properties["experiment"] is None)
        if properties["variant"]:
            assert row["event_name"] == "page_view"
            assert row["occurred_at"] >= starts[row["tenant_id"]]
            seen[user].add(properties["variant"])
        elif row["occurred_at"] >= starts.get(row["tenant_id"], "9") and row["event_name"] in ("checkout", "purchase"):
            (checked_out if row["event_name"] == "checkout" else bought)[user] += 1
    variants: dict[str, Counter[str]] = defaultdict(Counter)
    for (tenant_id, _), either in seen.items():
        variants[tenant_id][" and ".join(sorted(either))] += 1
    assert variants.keys() == starts.keys() == {LARGEST, UNEVEN, "umbra-004"}
    assert variants[UNEVEN]["treatment"] < variants[UNEVEN]["control"] / 3
    assert variants[LARGEST]["treatment"] > variants[LARGEST]["control"] / 2
    assert 0 < variants[LARGEST]["control and treatment"] < variants[LARGEST].total() / 10

    def share(variant: str) -> float:
        users = [user for user, either in seen.items() if either == {variant}]
        return sum(bought[user] for user in users) / sum(checked_out[user] for user in users)

    assert share("treatment") > share("control") + 0.1


def test_rules_change_amid_the_days_and_weeks_begin_on_other_weekdays(world: Simulated) -> None:
    versions = defaultdict(list)
    for row in world.table("registry/tenants.csv"):
        versions[row["tenant_id"]].append(row)
    changed = {
        column
        for first, *others in versions.values()
        for later in others
        for column in first
        if first[column] != later[column]
    }
    assert changed == {"valid_from", "timezone", "session_timeout_minutes"}
    assert len({row["week_start"] for row, *_ in versions.values()}) > 2
