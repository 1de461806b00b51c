"""The gate: a sound mart passes, each planted fault is named, and no value is ever in the words."""

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from quorum import expectations
from quorum.errors import Refused

FEATURES = ["export", "search"]


def benchmarks() -> pd.DataFrame:
    row: dict[str, Any] = {
        "period": "week",
        "period_start": date(2026, 3, 23),
        "cohort_level": "atom",
        "cohort_key": "retail/eu/*",
        "cohort_industry": "retail",
        "cohort_region": "eu",
        "cohort_size_band": "*",
        "feature": "search",
        "status": "released",
        "active_users": 1000.0,
        "adopters": 300.0,
        "adoption_share": 0.3,
        "rho": 0.03,
        "delta": 1e-7,
        "tolerance_points": 6.0,
    }
    withheld = {"active_users": None, "adopters": None, "adoption_share": None, "status": "ineligible"}
    return pd.DataFrame([row, {**row, "feature": "export"}, {**row, **withheld, "cohort_key": "media/us/*"}])


def daily() -> pd.DataFrame:
    counts = dict.fromkeys(
        ("daily_active_users", "weekly_active_users", "monthly_active_users", "events", "sessions"), 3
    )
    days = [date(2026, 3, 1) + timedelta(n) for n in range(3)]
    return pd.DataFrame([{"tenant_key": "0123456789" * 3 + "ab", "activity_date": day, **counts} for day in days])


def check(frame: pd.DataFrame, columns: tuple[str, ...] | None = None) -> None:
    of_benchmarks = "feature" in (columns or frame.columns)
    named = columns or tuple(frame.columns)
    suite = expectations.benchmark_features(named, FEATURES) if of_benchmarks else expectations.tenant_daily(named)
    expectations.check(suite, frame)


def test_sound_marts_pass() -> None:
    check(benchmarks())
    check(daily())
    check(benchmarks().iloc[:0])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cohort_key", "mia.keller@example.com"),
        ("cohort_industry", "203.0.113.77"),
        ("cohort_region", "2001:db8:1:2:3::9"),
        ("cohort_size_band", "+49 151 2345678"),
        ("feature", "something new"),
        ("status", "suppressed"),
        ("adoption_share", None),
        ("rho", 0.051),
        ("rho", 0.0),
        ("delta", 1e-6),
        ("tolerance_points", 6.5),
    ],
)
def test_a_fault_in_a_benchmark_is_named_without_its_value(column: str, value: Any) -> None:
    frame = benchmarks().astype({column: object})
    frame.loc[0, column] = value
    with pytest.raises(Refused) as refused:
        check(frame)
    assert column in str(refused.value)
    assert value is None or str(value) not in str(refused.value)


@pytest.mark.parametrize("column", ["active_users", "adopters", "adoption_share"])
def test_a_withheld_row_with_a_figure_is_refused(column: str) -> None:
    frame = benchmarks()
    frame.loc[2, column] = 12.0
    with pytest.raises(Refused, match=column):
        check(frame)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(Refused, match="unique"):
        check(pd.concat([benchmarks(), benchmarks().head(1)]))


def test_a_column_more_or_less_is_refused() -> None:
    columns = tuple(benchmarks().columns)
    with pytest.raises(Refused, match="columns"):
        check(benchmarks().assign(email="x"), columns)
    with pytest.raises(Refused):
        check(benchmarks().iloc[:, :-1], columns)


@pytest.mark.parametrize(
    ("column", "value"), [("tenant_key", "acme"), ("events", -1), ("events", None), ("activity_date", None)]
)
def test_a_fault_in_the_daily_mart_is_named(column: str, value: Any) -> None:
    frame = daily().astype({column: object})
    frame.loc[0, column] = value
    with pytest.raises(Refused, match=column):
        check(frame)
