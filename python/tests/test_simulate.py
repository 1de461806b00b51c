import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from quorum.errors import BadInput
from quorum.simulate import Shape, simulate
from quorum.simulate_activity import ADOPTION, FEATURES
from tests.simulated import Simulated, simulated, time_of, unit_of

SMALL = Shape(tenants=14, users=40, days=10, seed=1)


def _contents(workspace: Path) -> dict[Path, bytes]:
    return {path.relative_to(workspace): path.read_bytes() for path in workspace.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulated(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Simulate a tenant per segment, with enough weeks and users for shares to show."""
    return simulated(tmp_path_factory.mktemp("month"), Shape(tenants=6, users=300))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_shape_always_gives_the_same_bytes(
    small: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    connect: Callable[..., Any] = partial(duckdb.connect, config={"threads": threads})
    monkeypatch.setattr("quorum.simulate.duckdb.connect", connect)
    simulate(tmp_path, SMALL)
    assert _contents(tmp_path) == _contents(small.workspace)


def test_another_seed_gives_another_world(small: Simulated, tmp_path: Path) -> None:
    other = simulated(tmp_path, replace(SMALL, seed=2))
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
    assert truth.users == len({unit_of(row) for row in small.accepted})
    assert truth.persons == len(set(small.people.values())) < truth.users


def test_weekly_adoption_is_what_the_files_hold(small: Simulated) -> None:
    active, adopters = defaultdict(set), defaultdict(set)
    for row in small.accepted:
        day = time_of(row["occurred_at"]).date()
        week = str(day - timedelta(days=day.weekday()))
        active[week, row["tenant_id"]].add(unit_of(row))
        adopters[week, row["tenant_id"], row["feature"]].add(unit_of(row))
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


def test_defects_do_not_disturb_the_truth(small: Simulated, tmp_path: Path) -> None:
    clean = simulated(tmp_path, replace(SMALL, defects=False))
    assert sorted(line for _, line in clean.lines) == sorted(
        line for verdict, _, line, _ in small.verdicts if verdict == "accepted"
    )
    for name in ("weekly_adoption.csv", "tenant_daily.csv", "canaries.csv"):
        assert clean.table(f"truth/{name}") == small.table(f"truth/{name}")


def test_rows_land_on_the_day_they_are_received_and_some_are_late(small: Simulated) -> None:
    late = 0
    for verdict, day, _, row in small.verdicts:
        if verdict == "accepted":
            occurred, received = time_of(row["occurred_at"]), time_of(row["received_at"])
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
        events[unit_of(row)].append((time_of(row["occurred_at"]), row["session_id"]))
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
            assert adopters / active == pytest.approx(expected, rel=0.35, abs=0.05)


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
    tenants = simulated(tmp_path, Shape(tenants=60, users=8, days=1)).registry().values()
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
    small = simulated(tmp_path, Shape(tenants=1, users=1, days=1))
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
