"""The benchmarks that all readers get: the whole keyset, in each kind of file, empty where it could not be right."""

import csv
import math
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd

from quorum import publish
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.policy import MAX_DELTA, MAX_RHO
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.published import releases

WEEKS = [date(2026, 3, 2) + timedelta(days=7 * week) for week in range(4)]


def test_parquet_and_duckdb_hold_the_rows_of_the_mart(workspace: Workspace, release: Path) -> None:
    with duckdb.connect(release / "cross_tenant" / "benchmarks.duckdb", read_only=True) as connection:
        assert connection.sql("show tables").fetchall() == [(mart,) for mart in releases.BENCHMARKS]
        for mart in releases.BENCHMARKS:
            query = f"select * from {mart} order by all"
            rows = connection.sql(query)
            assert rows.fetchall() == worlds.fetch(workspace, "released", query)
            parquet = pd.read_parquet(release / "cross_tenant" / f"{mart}.parquet")
            days = dict.fromkeys(
                parquet.columns[parquet.columns.str.match("period_(start|end)|lookback_start")], "datetime64[us]"
            )
            # a column of nothing has another type in each
            pd.testing.assert_frame_equal(rows.df(), parquet.astype(days), check_dtype=False)


def test_one_mart_is_a_view_of_the_other(release: Path) -> None:
    rows = pd.read_parquet(release / "cross_tenant" / "mart_benchmarks.parquet")
    rows = rows[rows.metric == "adoption"].rename(columns={"metric_key": "feature", "estimate": "adoption_share"})
    keys = ["period_start", "cohort_level", "cohort_key", "feature", "status", "adoption_share"]
    whole, view = (
        frame[keys].sort_values(keys[:4]).reset_index(drop=True) for frame in (rows, releases.features(release))
    )
    pd.testing.assert_frame_equal(whole, view)


def test_the_whole_keyset_is_there(release: Path) -> None:
    """From the registry, the catalog and the calendar alone: three of the four weeks have no events at all."""
    with (Path(publish.__file__).parents[2] / "seeds/reference/feature_catalog.csv").open() as file:
        features = {row["feature"] for row in csv.DictReader(file) if row["source_format"] == "quorum"}
    cohorts = [("atom", "retail/eu/*"), ("atom", "media/us/small"), ("all", "*/*/*")]
    cohorts += [("industry", "retail/*/*"), ("industry", "media/*/*")]
    keys = ["period_start", "cohort_level", "cohort_key", "feature"]
    rows = releases.features(release)
    found = list(rows[keys].itertuples(index=False, name=None))
    assert sorted(found) == sorted(
        (week, *cohort, feature) for week in WEEKS for cohort in cohorts for feature in features
    )


def test_what_is_withheld_is_empty(release: Path) -> None:
    rows = releases.features(release)
    expected = {"retail/eu/*": "released", "retail/*/*": "released", "*/*/*": "released"}
    expected |= {"media/us/small": "imprecise", "media/*/*": "imprecise"}
    of_last_week = rows[rows.period_start == WEEKS[-1]]
    assert dict(zip(of_last_week.cohort_key, of_last_week.status, strict=True)) == expected
    assert set(rows[rows.period_start < WEEKS[-1]].status) == {"ineligible"}
    values = rows[["active_users", "adopters", "adoption_share", "adoption_share_low", "adoption_share_high"]]
    assert values[rows.status == "released"].notna().all(axis=None)
    assert values[rows.status != "released"].isna().all(axis=None)


def test_each_row_says_what_it_is(release: Path) -> None:
    rows = releases.features(release)
    stated = ["unit", "mechanism", "estimand", "rho", "epsilon", "delta"]
    assert rows[[*stated, "tolerance_points", "policy_version", "answer_id"]].notna().all(axis=None)
    assert rows.rho.between(0, float(MAX_RHO["week"]), inclusive="right").all()
    assert rows.delta.between(0, float(MAX_DELTA), inclusive="right").all()


def test_only_who_consents_is_in_a_cohort(workspace: Workspace) -> None:
    with (workspace.registry / "tenants.csv").open(newline="") as file:
        consent = {row["tenant_id"]: row["benchmark_consent"] == "true" for row in csv.DictReader(file)}
    assert list(consent.values()).count(False) == 2
    members = worlds.fetch(
        workspace, "cross_tenant", "select tenant_key from cohort_tenants where period_start = $1", WEEKS[-1:]
    )
    keys = Keyring.open(workspace.keyring).tenants()
    assert sorted(members) == sorted((keys[tenant].tenant_key,) for tenant, given in consent.items() if given)


def test_a_withdrawal_is_withheld_in_the_period_of_the_transition(workspace: Workspace, tmp_path: Path) -> None:
    """Of two tenants in the larger cohort one withdraws as the last week begins, and one amid it.

    The others are too few for a new cohort, and their own stays; it would be all of the one before but one.
    """
    copy = worlds.copied(workspace, tmp_path / "withdrawn")
    worlds.unanswered(copy)
    with (copy.registry / "tenants.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, second = rows[:2]
    assert first["benchmark_consent"] == second["benchmark_consent"] == "true"
    rows += [
        row | {"valid_from": str(day), "benchmark_consent": "false"}
        for row, day in ((first, WEEKS[-1]), (second, WEEKS[-1] + timedelta(days=1)))
    ]
    worlds.registered(copy.root, rows)
    worlds.answer(copy)

    members = "select tenant_key from cohort_tenants where period_start = $1"
    before, after = (set(worlds.fetch(copy, "cross_tenant", members, [week])) for week in WEEKS[-2:])
    keys = Keyring.open(copy.keyring).tenants()
    assert before - after == {(keys[first["tenant_id"]].tenant_key,)}
    answers = {answer.slot.start: answer.payload for answer in Ledger.open(copy.ledger_url).answers("feature_usage")}
    answer = answers[WEEKS[-1]]
    cohorts = {(cohort["level"], cohort["key"]): cohort for cohort in answer["cohorts"]}
    changed, other, everyone = (
        cohorts[place] for place in (("atom", "retail/eu/*"), ("atom", "media/us/small"), ("all", "*/*/*"))
    )
    assert changed["noisy"] is None
    assert other["members"] == everyone["members"] == ["media/us/small"]
    size = "select value from dp_feature_usage where period_start = $1 and cohort_key = 'retail/eu/*' and key is null"
    [(count,)] = worlds.fetch(copy, "cross_tenant", size, WEEKS[-1:])
    [(one,)] = worlds.fetch(
        copy, "cross_tenant", "select distinct count_scale from release_periods where release = 'feature_usage'"
    )
    users = count / one
    assert users > 500, "twice a quorum: it is the transition that withholds it"
    difference = (everyone["noisy"][0] - other["noisy"][0]) / one
    assert abs(difference) < 8 * math.hypot(*answer["scales"].values()) / one < users / 2
    statuses = "select distinct status from mart_benchmark_features where period_start = $1 and cohort_level = 'atom'"
    assert ("ineligible",) in worlds.fetch(copy, "released", statuses, WEEKS[-1:])
