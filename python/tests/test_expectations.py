"""The gate: a sound mart passes, each planted fault is named, and no value is ever in the words."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from quorum.errors import Refused
from quorum.expectations import Gate
from quorum.marts import Column, Relation
from quorum.suites import Fact, Range, benchmark_mart, tenant_mart

FEATURES = ["export", "search"]
FACTS = [Fact("b2", 0.03, 1.2, 1e-7, "a1"), Fact("c3", 0.02, 1.0, 1e-7, "a1")]


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
        "active_users_sigma": 5.0,
        "adopters": 300.0,
        "adoption_share": 0.3,
        "rho": 0.03,
        "delta": 1e-7,
        "epsilon": 1.2,
        "tolerance_points": 6.0,
        "policy_version": "a1",
        "answer_id": "b2",
    }
    withheld = {"active_users": None, "adopters": None, "adoption_share": None, "status": "ineligible"}
    return pd.DataFrame([row, {**row, "feature": "export"}, {**row, **withheld, "cohort_key": "media/us/*"}])


BENCHMARKS = Relation(
    "mart_benchmark_features",
    "",
    tuple(
        Column(
            str(name),
            "double" if dtype.kind == "f" else "varchar" if name != "period_start" else "date",
            "",
            name == "status",
        )
        for name, dtype in benchmarks().dtypes.items()
    ),
    ("period", "period_start", "cohort_level", "cohort_key", "feature"),
)

# A mart with every kind of column that a tenant's mart has.
ADOPTION = Relation(
    "mart_tenant_adoption",
    "",
    (
        Column("tenant_key", "varchar", "", True),
        Column("account_key", "varchar", "", False),
        Column("activity_date", "date", "", True),
        Column("feature", "varchar", "", True),
        Column("users", "bigint", "", True),
        Column("change", "bigint", "", False),
        Column("adoption", "decimal(9, 6)", "", False),
        Column("adoption_low", "decimal(9, 6)", "", False),
        Column("adoption_high", "decimal(9, 6)", "", False),
        Column("state", "varchar", "", False),
    ),
    ("tenant_key", "account_key", "activity_date", "feature"),
)
RANGES = [
    Range("users", Decimal(0), None),
    Range("change", Decimal(-100), Decimal(100)),
    *(Range(name, Decimal(0), Decimal(1)) for name in ("adoption", "adoption_low", "adoption_high")),
]


def adoption() -> pd.DataFrame:
    """Two days of an account and one of all of them, on which nobody could have adopted anything."""
    rate = {"adoption": 0.5, "adoption_low": 0.25, "adoption_high": 0.75, "state": "ok"}
    no_rate: dict[str, Any] = {**dict.fromkeys(rate), "state": "not_enough_data"}
    shared = {"tenant_key": "0123456789" * 3 + "ab", "feature": "search", "users": 3, "change": -3}
    account = {"account_key": "ab" * 16, **shared, **rate}
    rows = [{**account, "activity_date": date(2026, 3, 1) + timedelta(n)} for n in range(2)]
    rows[0]["feature"] = "prices of 2026-03-01"
    rows.append({**account, **no_rate, "account_key": None, "activity_date": date(2026, 3, 1), "users": 0})
    return pd.DataFrame(rows)[[column.name for column in ADOPTION.columns]]


@pytest.fixture(scope="module")
def check() -> Callable[[pd.DataFrame], None]:
    gate, suites = Gate(), {True: tenant_mart(ADOPTION, RANGES), False: benchmark_mart(BENCHMARKS, FEATURES, FACTS)}

    def check(frame: pd.DataFrame) -> None:
        if failure := gate.recheck(suites["tenant_key" in frame.columns], frame):
            raise Refused(f"{failure}: ")

    return check


Check = Callable[[pd.DataFrame], None]


def test_sound_marts_pass(check: Check) -> None:
    for mart in (benchmarks(), adoption()):
        check(mart)
        check(mart.iloc[:0])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cohort_key", "mia.keller@example.com"),
        ("cohort_industry", "203.0.113.77"),
        ("cohort_region", "2001:db8:1:2:3::9"),
        ("cohort_size_band", "+49 151 2345678"),
        ("feature", "something new"),
        ("status", "suppressed"),
        ("status", None),
        ("adoption_share", None),
        ("rho", 0.051),
        ("rho", 0.0),
        ("delta", 1e-6),
        ("tolerance_points", 6.5),
        ("answer_id", "d4"),
        ("answer_id", "c3"),
        ("epsilon", 1.1),
        ("policy_version", "a2"),
    ],
)
def test_a_fault_in_a_benchmark_is_named_without_its_value(check: Check, column: str, value: Any) -> None:
    frame = benchmarks().astype({column: object})
    frame.loc[0, column] = value
    with pytest.raises(Refused) as refused:
        check(frame)
    assert column in str(refused.value)
    assert value is None or str(value) not in str(refused.value)


@pytest.mark.parametrize("column", ["active_users", "adopters", "adoption_share"])
def test_a_withheld_row_with_a_figure_is_refused(check: Check, column: str) -> None:
    frame = benchmarks()
    frame.loc[2, column] = 12.0
    with pytest.raises(Refused, match=column):
        check(frame)


@pytest.mark.parametrize("mart", [benchmarks(), adoption()], ids=["benchmarks", "adoption"])
class TestBothKinds:
    def test_a_key_that_stands_twice_is_refused(self, check: Check, mart: pd.DataFrame) -> None:
        with pytest.raises(Refused, match=r"unique on .*_key, "):
            check(pd.concat([mart, mart.head(1)]))

    def test_a_column_more_or_less_or_elsewhere_is_refused(self, check: Check, mart: pd.DataFrame) -> None:
        for frame in (mart.assign(email="x"), mart.iloc[:, :-1], mart[[*mart.columns[:-2], *mart.columns[:-3:-1]]]):
            for rows in (frame, frame.iloc[:0]):
                with pytest.raises(Refused, match="columns_to_match_ordered_list:"):
                    check(rows)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("tenant_key", "acme"),
        ("tenant_key", None),
        ("account_key", "ACME Ltd"),
        ("activity_date", None),
        ("feature", None),
        ("feature", "mia.keller@example.com"),
        ("feature", "203.0.113.77"),
        ("feature", "2001:db8:1:2:3::9"),
        ("state", "call +49 151 2345678"),
        ("state", "2026-03-017 5550 1234"),
        ("state", "pricing 2026-03-01: 555-0123-4567"),
        ("users", None),
        ("users", -17),
        ("change", -101),
        ("change", 101),
        ("adoption", -0.125),
        ("adoption", 1.125),
        ("adoption_low", 0.625),
        ("adoption_low", -0.125),
        ("adoption_high", 0.375),
        ("adoption_high", 1.125),
    ],
)
def test_a_fault_in_a_tenants_mart_is_named_without_its_value(check: Check, column: str, value: Any) -> None:
    frame = adoption().astype({column: object})
    frame.loc[0, column] = value
    with pytest.raises(Refused, match=rf"mart_tenant_adoption fails expect_\w+ on .*\b{column}\b") as refused:
        check(frame)
    assert value is None or str(value) not in str(refused.value)


def test_a_selected_key_is_released_without_a_figure_and_nothing_else_is() -> None:
    frame = benchmarks().assign(kind="keys")
    frame.loc[0, ["active_users", "adopters", "adoption_share"]] = None
    mart = replace(BENCHMARKS, columns=(*BENCHMARKS.columns, Column("kind", "varchar", "", True)))
    suite = benchmark_mart(mart, FEATURES, FACTS)
    assert Gate().check(suite, frame) is None
    failure = Gate().check(suite, frame.assign(kind="distinct_users"))
    assert failure is not None
    assert failure.about == ("active_users",)
