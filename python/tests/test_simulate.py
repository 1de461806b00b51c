import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from quorum.errors import BadInput
from quorum.simulate import Shape, Truth, simulate
from quorum.simulate_activity import ADOPTION, FEATURES

SMALL = Shape(tenants=14, users=40, days=10, seed=1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Simulated:
    """A workspace, read back without any of the code that wrote it."""

    workspace: Path
    truth: Truth
    lines: list[tuple[date, str]]  # with the day of their file

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.workspace / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def registry(self) -> dict[str, dict[str, str]]:
        """Return each tenant's first version."""
        first: dict[str, dict[str, str]] = {}
        for version in self.table("registry/tenants.csv"):
            first.setdefault(version["tenant_id"], version)
        return first

    def local_date(self, row: Row) -> date:
        """Return the day by the tenant's clock, as the version of its rules has it that holds then."""
        found = None
        for version in sorted(self.table("registry/tenants.csv"), key=lambda version: version["valid_from"]):
            if version["tenant_id"] == row["tenant_id"]:
                day = _time(row["occurred_at"]).astimezone(ZoneInfo(version["timezone"])).date()
                found = day if found is None or str(day) >= version["valid_from"] else found
        assert found
        return found

    def person(self, row: Row) -> str:
        return self.people[row["tenant_id"], "user" if row["user_id"] else "device", _unit(row)[1]]

    @cached_property
    def people(self) -> dict[tuple[str, str, str], str]:
        """Return the person of each user id and device, by a search over the rows."""
        users: dict[tuple[str, str, str], set[tuple[str, str, str]]] = defaultdict(set)
        for row in self.accepted:
            device = (row["tenant_id"], "device", row["anonymous_id"])
            users[device] |= {(row["tenant_id"], "user", row["user_id"])} if row["user_id"] else set()
        near = defaultdict(set)
        for device, known in users.items():
            for user in known if len(known) <= 2 else ():
                near[device].add(user)
                near[user].add(device)
        people: dict[tuple[str, str, str], str] = {}
        for unit in sorted({*users, *(user for known in users.values() for user in known)}):
            reached, todo = str(unit), [unit]
            while todo:
                if (at := todo.pop()) not in people:
                    people[at] = reached
                    todo += near[at]
        return people

    @cached_property
    def verdicts(self) -> list[tuple[str, date, str, Row]]:
        """Say of each line what should become of it, in the order of landing."""
        registry, seen = self.registry(), set()
        verdicts = []
        for day, line in self.lines:
            verdict, row = _quarantine_reason(line, registry), {}
            if verdict is None:
                row = json.loads(line)
                verdict = "duplicate" if row["event_id"] in seen else "accepted"
                seen.add(row["event_id"])
            verdicts.append((verdict, day, line, row))
        return verdicts

    @cached_property
    def accepted(self) -> list[Row]:
        return [row for verdict, _, _, row in self.verdicts if verdict == "accepted"]


def _quarantine_reason(line: str, registry: dict[str, dict[str, str]]) -> str | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return "unparsable"
    if row["tenant_id"] is None:
        return "missing_tenant"
    if row["tenant_id"] not in registry:
        return "unknown_tenant"
    if row["user_id"] is None and row["anonymous_id"] is None:
        return "missing_identity"
    try:
        occurred, received = _time(row["occurred_at"]), _time(row["received_at"])
    except ValueError:
        return "bad_timestamp"
    return "future_timestamp" if occurred > received else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _unit(row: Row) -> tuple[str, str]:
    return row["tenant_id"], row["user_id"] or row["anonymous_id"]


def _simulate(workspace: Path, shape: Shape) -> Simulated:
    truth = simulate(workspace, shape)
    lines = [
        (date.fromisoformat(path.name.removesuffix(".jsonl.gz")), line)
        for path in truth.paths
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    return Simulated(workspace, truth, lines)


def _contents(workspace: Path) -> dict[Path, bytes]:
    return {path.relative_to(workspace): path.read_bytes() for path in workspace.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return _simulate(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Simulate a tenant per segment, with enough weeks and users for shares to show."""
    return _simulate(tmp_path_factory.mktemp("month"), Shape(tenants=6, users=300))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_shape_always_gives_the_same_bytes(
    small: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    connect: Callable[..., Any] = partial(duckdb.connect, config={"threads": threads})
    monkeypatch.setattr("quorum.simulate.duckdb.connect", connect)
    simulate(tmp_path, SMALL)
    assert _contents(tmp_path) == _contents(small.workspace)


def test_another_seed_gives_another_world(small: Simulated, tmp_path: Path) -> None:
    other = _simulate(tmp_path, replace(SMALL, seed=2))
    assert not set(other.lines) & set(small.lines)


def test_every_line_ends_where_the_truth_says(small: Simulated) -> None:
    truth = small.truth
    counted = Counter(verdict for verdict, *_ in small.verdicts)
    assert counted == {"accepted": truth.accepted, "duplicate": truth.duplicates} | truth.broken
    assert truth.rows == len(small.lines) == counted.total()
    assert min(truth.duplicates, *truth.broken.values()) > 0


def test_rows_json_says_the_same(small: Simulated) -> None:
    truth = small.truth
    assert json.loads((small.workspace / "truth/rows.json").read_text()) == {
        "rows": truth.rows,
        "accepted": truth.accepted,
        "duplicates": truth.duplicates,
        "broken": truth.broken,
        "late": truth.late,
        "tenants": truth.tenants,
        "users": truth.users,
        "persons": truth.persons,
    }
    assert truth.tenants == len(small.registry())
    assert truth.users == len({_unit(row) for row in small.accepted})
    assert truth.persons == len(set(small.people.values())) < truth.users


def test_weekly_adoption_is_what_the_files_hold(small: Simulated) -> None:
    active, adopters = defaultdict(set), defaultdict(set)
    for row in small.accepted:
        day = _time(row["occurred_at"]).date()
        week = str(day - timedelta(days=day.weekday()))
        active[week, row["tenant_id"]].add(_unit(row))
        adopters[week, row["tenant_id"], row["feature"]].add(_unit(row))
    assert small.table("truth/weekly_adoption.csv") == [
        {
            "week_start": week,
            "tenant_id": tenant_id,
            "feature": feature,
            "adopters": str(len(adopters[week, tenant_id, feature])),
            "active_users": str(len(active[week, tenant_id])),
        }
        for week, tenant_id in sorted(active)
        for feature in sorted(FEATURES)
    ]


def _counted_days(world: Simulated) -> Iterator[tuple[str, str, list[Row], bool, bool]]:
    """Yield the days of each person: tenant, local date, rows, whether there is activity, and whether it counts."""
    days: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in world.accepted:
        kind = "user" if row["user_id"] else "device"
        days[row["tenant_id"], str(world.local_date(row)), world.people[row["tenant_id"], kind, _unit(row)[1]]].append(
            row
        )
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
        threshold = int(world.registry()[tenant_id].get("bot_daily_events", 2000))
        counts = len(rows) <= threshold and not any(
            _unit(row) in listed or "Crawler" in row["user_agent"] for row in rows
        )
        yield tenant_id, day, rows, is_active, counts


def test_tenant_daily_is_what_the_files_hold_by_the_tenants_rules(small: Simulated) -> None:
    by_day: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for tenant_id, day, rows, is_active, counts in _counted_days(small):
        by_day[tenant_id, day]["active_users"] += is_active and counts
        by_day[tenant_id, day]["events" if counts else "excluded_events"] += len(rows)
    assert small.table("truth/tenant_daily.csv") == [
        {
            "tenant_id": tenant_id,
            "local_date": local_date,
            **{name: str(counts[name]) for name in ("active_users", "events", "excluded_events")},
        }
        for (tenant_id, local_date), counts in sorted(by_day.items())
    ]


def test_people_are_told_apart_as_far_as_devices_tell(small: Simulated) -> None:
    found, expected, humans = defaultdict(set), defaultdict(set), defaultdict(set)
    for row in small.table("truth/people.csv"):
        unit = (row["tenant_id"], row["kind"], row["identifier"])
        found[row["person"]].add(unit)
        expected[small.people[unit]].add(unit)
        if row["kind"] == "user":
            humans[row["person"]].add(row["human"])
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected.values()))
    assert sum(map(len, found.values())) == len(small.people)
    users = {person: sum(kind == "user" for _, kind, _ in units) for person, units in found.items()}
    # two users are one human with two ids, or two humans at one desktop; a kiosk is nobody
    assert {len(humans[person]) for person, count in users.items() if count == 2} == {1, 2}
    assert {len(humans[person]) for person, count in users.items() if count == 1} == {1}
    assert set(users.values()) == {0, 1, 2}


def test_defects_do_not_disturb_the_truth(small: Simulated, tmp_path: Path) -> None:
    clean = _simulate(tmp_path, replace(SMALL, defects=False))
    assert sorted(line for _, line in clean.lines) == sorted(
        line for verdict, _, line, _ in small.verdicts if verdict == "accepted"
    )
    for name in ("weekly_adoption.csv", "tenant_daily.csv", "canaries.csv"):
        assert clean.table(f"truth/{name}") == small.table(f"truth/{name}")


def test_rows_land_on_the_day_they_are_received_and_some_are_late(small: Simulated) -> None:
    late = 0
    for verdict, day, _, row in small.verdicts:
        if verdict == "accepted":
            occurred, received = _time(row["occurred_at"]), _time(row["received_at"])
            assert occurred <= received < occurred + timedelta(days=5, minutes=1)
            assert received.date() == day
            late += received - occurred >= timedelta(days=1)
    assert late == small.truth.late > 0
    assert [path.name for path in small.truth.paths] == [
        f"{SMALL.first_day + timedelta(days=day)}.jsonl.gz" for day in range(SMALL.days)
    ]


def test_a_duplicate_repeats_its_line_in_the_same_file_or_the_next(small: Simulated) -> None:
    days = defaultdict(list)
    for day, line in small.lines:
        days[line].append(day)
    gaps = [later - first for first, *others in days.values() for later in others]
    assert len(gaps) == small.truth.duplicates
    assert set(gaps) == {timedelta(days=0), timedelta(days=1)}


def test_sessions_are_what_half_an_hour_of_silence_separates(month: Simulated) -> None:
    events = defaultdict(list)
    for row in month.accepted:
        events[_unit(row)].append((_time(row["occurred_at"]), row["session_id"]))
    for moments in events.values():
        for (earlier, session), (later, next_session) in pairwise(sorted(moments)):
            assert (later - earlier > timedelta(minutes=30)) == (session != next_session)


def test_some_people_use_two_tenants_and_some_never_sign_in(month: Simulated) -> None:
    tenants = defaultdict(set)
    for row in month.accepted:
        tenants[row["user_id"]].add(row["tenant_id"])
    assert len(tenants.pop(None)) > 1
    assert set(map(len, tenants.values())) == {1, 2}


def test_only_a_used_feature_has_a_feature_and_only_a_purchase_a_value(small: Simulated) -> None:
    for row in small.accepted:
        assert (row["feature"] in FEATURES) == (row["event_name"] == "feature_used")
        assert (row["value_minor"] is not None) == (row["event_name"] == "purchase")


def test_canaries_are_planted_where_personal_data_hides(small: Simulated) -> None:
    text = "\n".join(line for _, line in small.lines)
    canaries = small.table("truth/canaries.csv")
    assert [canary for canary in canaries if canary["value"] not in text] == []
    assert {canary["kind"] for canary in canaries} == {
        "device", "email", "encoded_email", "ip", "name", "phone", "token"
    }  # fmt: skip
    emails = {canary["value"] for canary in canaries if canary["kind"] == "email"}
    assert len(canaries) > 200
    for hiding_place in ("/users/{}/profile", "?email={}&token=", "Write to {},", '{{"{}":true}}'):
        assert any(hiding_place.format(email) in text for email in emails), hiding_place


def test_segments_adopt_features_to_different_degrees(month: Simulated) -> None:
    shares = list(ADOPTION.values())
    weeks = defaultdict(list)
    for row in month.table("truth/weekly_adoption.csv"):
        weeks[row["tenant_id"], row["feature"]].append((int(row["adopters"]), int(row["active_users"])))
    for segment, tenant_id in enumerate(month.registry()):
        for position, feature in enumerate(FEATURES):
            adopters, active = map(sum, zip(*weeks[tenant_id, feature], strict=True))
            expected = shares[(position + 3 * segment) % len(shares)]
            assert adopters / active == pytest.approx(expected, rel=0.25, abs=0.05)


def test_export_declines_weekends_are_quiet_and_the_funnel_narrows(month: Simulated) -> None:
    export, active = Counter[str](), Counter[str]()
    for row in month.table("truth/weekly_adoption.csv"):
        if row["feature"] == "export":
            export[row["week_start"]] += int(row["adopters"])
            active[row["week_start"]] += int(row["active_users"])
    weekday = Counter[int]()
    for row in month.table("truth/tenant_daily.csv"):
        weekday[date.fromisoformat(row["local_date"]).weekday()] += int(row["active_users"])
    steps = defaultdict(set)
    for row in month.accepted:
        steps[row["event_name"]].add(month.person(row))
    funnel = [len(steps[name] & steps["signup"]) for name in ("page_view", "signup", "onboarding_step", "purchase")]
    first, last = (export[week] / active[week] for week in ("2026-03-02", "2026-03-23"))
    assert last < first
    assert max(weekday[5], weekday[6]) < min(weekday[day] for day in range(5)) * 0.7
    assert funnel[0] == funnel[1] > funnel[2] > funnel[3] > 0


def test_segments_get_as_many_tenants_of_each_size(tmp_path: Path) -> None:
    tenants = _simulate(tmp_path, Shape(tenants=60, users=8, days=1)).registry().values()
    segments = Counter((tenant["industry"], tenant["region"], tenant["size_band"]) for tenant in tenants)
    assert segments == {
        (industry, region, band): count
        for industry in ("retail", "media", "fintech")
        for region in ("eu", "us")
        for band, count in {"large": 1, "medium": 4, "small": 5}.items()
    }
    assert {tenant["benchmark_consent"] for tenant in tenants} == {"true", "false"}
    assert {count for owner, count in Counter(t["owner_group"] for t in tenants).items() if owner} == {2}


def test_a_world_may_be_as_small_as_one_user_on_one_day(tmp_path: Path) -> None:
    small = _simulate(tmp_path, Shape(tenants=1, users=1, days=1))
    assert len(small.lines) == small.truth.rows


@pytest.mark.parametrize(
    "change",
    [
        {"tenants": 0},
        {"users": 0},
        {"days": 0},
        {"days": 10_000},
        {"seed": -1},
        {"last_day": date(2099, 1, 1)},
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    [(field, value)] = change.items()
    with pytest.raises(BadInput, match=f"{field} must be .*, not {value}$"):
        replace(SMALL, **change)


@pytest.mark.parametrize("name", ["registry/tenants.csv", f"landing/quorum/{SMALL.last_day}.jsonl.gz"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(BadInput, match=name):
        simulate(tmp_path, SMALL)
    assert _contents(tmp_path) == {Path(name): b"precious"}
