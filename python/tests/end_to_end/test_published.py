"""What readers get: benchmarks for all, a bundle for each tenant, and nothing where it could not be right."""

import base64
import csv
import hashlib
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from cryptography.exceptions import InvalidTag

from quorum import publish
from quorum.audit import AuditLog
from quorum.encryption import load_encryption
from quorum.keyring import Keyring, TenantKeys
from quorum.ledger import Ledger
from quorum.marts import METRIC_CATALOG, Published, Relation
from quorum.pages import sealing
from quorum.policy import MAX_DELTA, MAX_RHO
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import event
from tests.html_text import sealed

WEEKS = [date(2026, 3, 2) + timedelta(days=7 * week) for week in range(4)]
# what each release asks of a week's budget, in the order in which they are answered
COSTS = {
    "engagement": "0.008",
    "feature_usage": "0.030",
    "funnel_conversion": "0.004",
    "retention": "0.004",
    "time_to_value": "0.004",
}
BENCHMARKS = ("mart_benchmark_catalog", "mart_benchmark_features", "mart_benchmarks")
BUNDLED = f"select * from {METRIC_CATALOG} where mart like 'mart_tenant_%' order by all"


@pytest.fixture(scope="session")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


@pytest.fixture(scope="session")
def release(workspace: Workspace) -> Path:
    folder = publish.current(workspace)
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def bundles(workspace: Workspace, release: Path) -> dict[Path, TenantKeys]:
    """Each bundle, and the keys of the tenant that it is for."""
    keys = Keyring.open(workspace.keyring).tenants().values()
    return {release / "tenants" / each.tenant_key / "tenant.duckdb": each for each in keys}


@pytest.fixture(scope="session")
def marts(workspace: Workspace) -> tuple[Relation, ...]:
    """What each tenant gets."""
    return Published.of(Dbt(workspace).manifest()).of_tenants


@contextmanager
def opened(bundle: Path, key: bytes) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        load_encryption(connection)
        text = base64.b64encode(key).decode()
        connection.execute(f"attach '{bundle}' as bundle (read_only, encryption_key '{text}')")
        connection.execute("use bundle")
        yield connection


class TestBenchmarks:
    def test_parquet_and_duckdb_hold_the_rows_of_the_mart(self, workspace: Workspace, release: Path) -> None:
        with duckdb.connect(release / "cross_tenant" / "benchmarks.duckdb", read_only=True) as connection:
            assert connection.sql("show tables").fetchall() == [(mart,) for mart in BENCHMARKS]
            for mart in BENCHMARKS:
                query = f"select * from {mart} order by all"
                rows = connection.sql(query)
                assert rows.fetchall() == worlds.fetch(workspace, "released", query)
                parquet = pd.read_parquet(release / "cross_tenant" / f"{mart}.parquet")
                days = dict.fromkeys(
                    parquet.columns[parquet.columns.str.match("period_(start|end)|lookback_start")], "datetime64[us]"
                )
                # a column of nothing has another type in each
                pd.testing.assert_frame_equal(rows.df(), parquet.astype(days), check_dtype=False)

    def test_one_mart_is_a_view_of_the_other(self, release: Path) -> None:
        rows = pd.read_parquet(release / "cross_tenant" / "mart_benchmarks.parquet")
        rows = rows[rows.metric == "adoption"].rename(columns={"metric_key": "feature", "estimate": "adoption_share"})
        keys = ["period_start", "cohort_level", "cohort_key", "feature", "status", "adoption_share"]
        whole, view = (frame[keys].sort_values(keys[:4]).reset_index(drop=True) for frame in (rows, published(release)))
        pd.testing.assert_frame_equal(whole, view)

    def test_the_whole_keyset_is_there(self, release: Path) -> None:
        """From the registry, the catalog and the calendar alone: three of the four weeks have no events at all."""
        with (Path(publish.__file__).parents[2] / "seeds/reference/feature_catalog.csv").open() as file:
            features = {row["feature"] for row in csv.DictReader(file) if row["source_format"] == "quorum"}
        cohorts = [("atom", "retail/eu/*"), ("atom", "media/us/small"), ("all", "*/*/*")]
        cohorts += [("industry", "retail/*/*"), ("industry", "media/*/*")]
        keys = ["period_start", "cohort_level", "cohort_key", "feature"]
        rows = published(release)
        found = list(rows[keys].itertuples(index=False, name=None))
        assert sorted(found) == sorted(
            (week, *cohort, feature) for week in WEEKS for cohort in cohorts for feature in features
        )

    def test_what_is_withheld_is_empty(self, release: Path) -> None:
        rows = published(release)
        expected = {"retail/eu/*": "released", "retail/*/*": "released", "*/*/*": "released"}
        expected |= {"media/us/small": "imprecise", "media/*/*": "imprecise"}
        of_last_week = rows[rows.period_start == WEEKS[-1]]
        assert dict(zip(of_last_week.cohort_key, of_last_week.status, strict=True)) == expected
        assert set(rows[rows.period_start < WEEKS[-1]].status) == {"ineligible"}
        values = rows[["active_users", "adopters", "adoption_share", "adoption_share_low", "adoption_share_high"]]
        assert values[rows.status == "released"].notna().all(axis=None)
        assert values[rows.status != "released"].isna().all(axis=None)

    def test_each_row_says_what_it_is(self, release: Path) -> None:
        rows = published(release)
        stated = ["unit", "mechanism", "estimand", "rho", "epsilon", "delta"]
        assert rows[[*stated, "tolerance_points", "policy_version", "answer_id"]].notna().all(axis=None)
        assert rows.rho.between(0, float(MAX_RHO["week"]), inclusive="right").all()
        assert rows.delta.between(0, float(MAX_DELTA), inclusive="right").all()

    def test_only_who_consents_is_in_a_cohort(self, workspace: Workspace) -> None:
        with (workspace.registry / "tenants.csv").open(newline="") as file:
            consent = {row["tenant_id"]: row["benchmark_consent"] == "true" for row in csv.DictReader(file)}
        assert list(consent.values()).count(False) == 2
        members = worlds.fetch(
            workspace, "cross_tenant", "select tenant_key from cohort_tenants where period_start = $1", WEEKS[-1:]
        )
        keys = Keyring.open(workspace.keyring).tenants()
        assert sorted(members) == sorted((keys[tenant].tenant_key,) for tenant, given in consent.items() if given)

    def test_a_withdrawal_is_withheld_in_the_period_of_the_transition(
        self, workspace: Workspace, tmp_path: Path
    ) -> None:
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
        answers = {
            answer.slot.start: answer.payload for answer in Ledger.open(copy.ledger_url).answers("feature_usage")
        }
        answer = answers[WEEKS[-1]]
        cohorts = {(cohort["level"], cohort["key"]): cohort for cohort in answer["cohorts"]}
        changed, other, everyone = (
            cohorts[place] for place in (("atom", "retail/eu/*"), ("atom", "media/us/small"), ("all", "*/*/*"))
        )
        assert changed["noisy"] is None
        assert other["members"] == everyone["members"] == ["media/us/small"]
        size = (
            "select value from dp_feature_usage where period_start = $1 and cohort_key = 'retail/eu/*' and key is null"
        )
        [(count,)] = worlds.fetch(copy, "cross_tenant", size, WEEKS[-1:])
        [(one,)] = worlds.fetch(
            copy, "cross_tenant", "select distinct count_scale from release_periods where release = 'feature_usage'"
        )
        users = count / one
        assert users > 500, "twice a quorum: it is the transition that withholds it"
        difference = (everyone["noisy"][0] - other["noisy"][0]) / one
        assert abs(difference) < 8 * math.hypot(*answer["scales"].values()) / one < users / 2
        statuses = (
            "select distinct status from mart_benchmark_features where period_start = $1 and cohort_level = 'atom'"
        )
        assert ("ineligible",) in worlds.fetch(copy, "released", statuses, WEEKS[-1:])


def published(release: Path) -> pd.DataFrame:
    return pd.read_parquet(release / "cross_tenant" / "mart_benchmark_features.parquet")


class TestBundles:
    def test_each_holds_the_rows_of_its_tenant(
        self, workspace: Workspace, bundles: Mapping[Path, TenantKeys], marts: tuple[Relation, ...]
    ) -> None:
        """Of every mart, though only the benchmarks' figures are not explained in it."""
        rows: dict[str, dict[str, list[Any]]] = {mart.name: defaultdict(list) for mart in marts}
        for mart, of_tenant in rows.items():
            for row in worlds.fetch(workspace, "tenant", f"select * from {mart} order by all"):
                of_tenant[row[0]].append(row)
        metrics = worlds.fetch(workspace, "tenant", BUNDLED)
        for bundle, keys in bundles.items():
            contents = publish.manifest(bundle.parent)["relations"]
            with opened(bundle, keys.bundle_key) as connection:
                tables = connection.sql("select table_name from duckdb_tables() order by all").fetchall()
                assert [name for (name,) in tables] == sorted(contents) == sorted([METRIC_CATALOG, *rows])
                for mart, of_tenant in rows.items():
                    found = connection.sql(f"select * from {mart} order by all").fetchall()
                    assert found == of_tenant.pop(keys.tenant_key, [])
                    assert contents[mart]["rows"] == len(found)
                assert connection.sql(BUNDLED).fetchall() == metrics
        assert not any(rows.values())

    def test_the_key_that_is_handed_over_opens_it(self, workspace: Workspace) -> None:
        handed = worlds.quorum(workspace, "keys", "--tenant", "acme-001", "--json")
        found = json.loads(handed.stdout)
        with opened(Path(found["bundle"]), base64.b64decode(found["bundle_key"])) as connection:
            assert connection.sql("select distinct tenant_key from mart_tenant_daily").fetchall() == [
                (found["tenant_key"],)
            ]

    def test_no_key_of_another_tenant_opens_it(self, bundles: Mapping[Path, TenantKeys]) -> None:
        """Of twenty tenants, each of the 380 wrong keys: neither the file nor what is sealed in the page beside it."""
        of_twenty = list(bundles.items())[:20]
        refused = 0
        with duckdb.connect() as connection:
            load_encryption(connection)
            for bundle, own in of_twenty:
                seal = sealed(bundle.with_name(publish.PAGE).read_bytes())
                for _, keys in of_twenty:
                    key = base64.b64encode(keys.bundle_key).decode()
                    statement = f"attach '{bundle}' as bundle (read_only, encryption_key '{key}')"
                    if keys is own:
                        connection.execute(statement)
                        connection.execute("detach bundle")
                        assert sealing.opened(seal, key)
                        continue
                    with pytest.raises(duckdb.InvalidInputException, match="Wrong encryption key"):
                        connection.execute(statement)
                    with pytest.raises(InvalidTag):
                        sealing.opened(seal, key)
                    refused += 1
        assert refused == 380

    def test_nothing_else_opens_it(self, bundles: Mapping[Path, TenantKeys]) -> None:
        bundle, own = next(iter(bundles.items()))
        for key in (own.pseudonym_key, bytes(32)):
            with pytest.raises(duckdb.Error), opened(bundle, key):
                pass
        with pytest.raises(duckdb.Error), duckdb.connect(bundle, read_only=True):
            pass

    def test_its_bytes_say_nothing(self, bundles: Mapping[Path, TenantKeys], tmp_path: Path) -> None:
        for bundle, keys in list(bundles.items())[:5]:
            plain = tmp_path / bundle.parent.name
            with opened(bundle, keys.bundle_key) as connection:
                connection.execute(f"attach '{plain}' as plain")
                connection.execute("copy from database bundle to plain")
                connection.execute("detach plain")
            words = [b"mart_tenant_daily", b"weekly_active_users", b"Distinct persons", keys.tenant_key.encode()]
            assert all(word in plain.read_bytes() for word in words), "they can be found where nothing is encrypted"
            words += [keys.bundle_key, base64.b64encode(keys.bundle_key)]
            assert not [word for word in words if word in bundle.read_bytes()]


class TestFolder:
    def test_it_holds_what_it_should_and_nothing_more(
        self, workspace: Workspace, release: Path, bundles: Mapping[Path, TenantKeys]
    ) -> None:
        cross_tenant = ("benchmarks.duckdb", "index.html", *(f"{mart}.parquet" for mart in BENCHMARKS), "manifest.json")
        expected = {workspace.published / "current"} | {release / "cross_tenant" / name for name in cross_tenant}
        expected |= {
            bundle.with_name(name) for bundle in bundles for name in ("tenant.duckdb", "index.html", "manifest.json")
        }
        found = {path for path in workspace.published.rglob("*") if path.is_symlink() or not path.is_dir()}
        assert found == expected
        assert not list((workspace.restricted / "spill").iterdir())
        assert {file.name for file in workspace.warehouse.iterdir()} == {
            f"{plane}.duckdb" for plane in ("tenant", "cross_tenant", "released")
        }

    def test_a_manifest_lists_its_own_folder(self, release: Path, bundles: Mapping[Path, TenantKeys]) -> None:
        for folder in [release / "cross_tenant", *(bundle.parent for bundle in bundles)]:
            manifest = publish.manifest(folder)
            files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
            assert manifest["files"] == {
                name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                for name, content in files.items()
            }
            text = json.dumps(manifest)
            assert not [keys.tenant_key for keys in bundles.values() if keys.tenant_key in text]
            assert not [keys.tenant_id for keys in bundles.values() if keys.tenant_id in text]

    def test_every_column_explains_itself(
        self, release: Path, bundles: Mapping[Path, TenantKeys], marts: tuple[Relation, ...]
    ) -> None:
        comments = """
            select table_name, comment from duckdb_tables()
            union all
            select column_name, comment from duckdb_columns() where not internal
        """
        bundle, keys = next(iter(bundles.items()))
        with duckdb.connect(release / "cross_tenant" / "benchmarks.duckdb", read_only=True) as connection:
            benchmarks = connection.execute(comments).fetchall()
        with opened(bundle, keys.bundle_key) as connection:
            exact = connection.execute(comments).fetchall()
            metrics = connection.execute(f"select * from {METRIC_CATALOG} limit 1").fetchall()
        parquets = [release / "cross_tenant" / f"{mart}.parquet" for mart in BENCHMARKS]
        assert len(benchmarks) == sum(1 + len(pd.read_parquet(parquet).columns) for parquet in parquets)
        assert len(exact) == sum(1 + len(mart.columns) for mart in marts) + 1 + len(metrics[0])
        assert not [name for name, comment in benchmarks + exact if not comment]
        for parquet in parquets:
            metadata = duckdb.execute(
                f"select decode(key), decode(value) from parquet_kv_metadata('{parquet}')"
            ).fetchall()
            assert set(metadata) <= set(benchmarks)
            assert len(metadata) == len(pd.read_parquet(parquet).columns)

    def test_who_may_read_and_write(self, workspace: Workspace) -> None:
        for folder in (workspace.landing, workspace.keyring, workspace.restricted):
            assert folder.stat().st_mode & 0o777 == 0o700
        for file in workspace.keyring.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600
        for path in (workspace.published, *workspace.published.rglob("*")):
            assert not path.stat().st_mode & 0o022


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def add_beside(file: Path) -> None:
    file.with_name("added").touch()


@pytest.mark.parametrize("harm", [flip_a_bit, Path.unlink, add_beside])
@pytest.mark.parametrize(
    "place",
    [
        "cross_tenant/*.duckdb",
        "cross_tenant/*.parquet",
        "cross_tenant/*.html",
        "tenants/*/*.duckdb",
        "tenants/*/*.json",
    ],
)
def test_verify_sees_harm(workspace: Workspace, tmp_path: Path, place: str, harm: Callable[[Path], None]) -> None:
    copy = Workspace(tmp_path)
    for part in ("published", "restricted/releases", "restricted/audit.jsonl", "restricted/heads.json", "ledger"):
        source, target = workspace.root / part, copy.root / part
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target, symlinks=True) if source.is_dir() else shutil.copy2(source, target)
    sound = worlds.quorum(copy, "verify", "--json")
    assert json.loads(sound.stdout)["published_files"] == 6 + 3 * 44

    folder = publish.current(copy)
    assert folder is not None
    file = sorted(folder.glob(place))[-1]
    harm(file)
    found = worlds.quorum(copy, "verify")
    assert found.exit_code == 4
    named = file.with_name("added") if harm is add_beside else file
    assert str(named.relative_to(folder)) in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_what_was_answered_stays_when_late_rows_come(
    workspace: Workspace, bundles: Mapping[Path, TenantKeys], tmp_path: Path
) -> None:
    copy = worlds.copied(workspace, tmp_path / "late")
    instant = worlds.noon(WEEKS[-1])
    worlds.land(copy, "late.jsonl", (event("acme-001", f"late {n}", "e", instant) for n in range(1000)))
    before = worlds.file_hashes(workspace.published / "current")
    assert worlds.run(copy).published is not None
    after = worlds.file_hashes(copy.published / "current")
    changed = {Path(path).parts[:2] for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    [acme] = [keys.tenant_key for keys in bundles.values() if keys.tenant_id == "acme-001"]
    assert changed == {("tenants", acme)}, "its own bundle alone, and not a byte of the benchmarks"
    ledger, as_it_was = (Ledger.open(each.ledger_url) for each in (copy, workspace))
    assert ledger.charges() == as_it_was.charges()
    assert ledger.answers("feature_usage") == as_it_was.answers("feature_usage")


def test_a_release_names_the_ledger_that_paid_for_it(workspace: Workspace) -> None:
    folder = publish.current(workspace)
    assert folder is not None
    privacy: dict[str, Any] = publish.manifest(folder / "cross_tenant")["privacy"]
    ledger = Ledger.open(workspace.ledger_url)
    assert (privacy["ledger"], privacy["ledger_entries"]) == (ledger.identity, 1 + 2 * len(COSTS) * len(WEEKS))
    assert [entry.kind for entry in ledger.entries()[privacy["ledger_entries"] :]] == ["anchor"]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace]:
    """Four weeks are due and the quarter has room for two; a night later it has room for all."""
    poor = worlds.simulated(tmp_path_factory.mktemp("poor"))
    poor.policy.mkdir()
    (poor.policy / "budgets.csv").write_text("population,time_window,rho\nproduct_users,quarter,0.1\n")
    worlds.run(poor)
    rich = worlds.copied(poor, tmp_path_factory.mktemp("rich") / "workspace")
    (rich.policy / "budgets.csv").unlink()
    worlds.run(rich)
    return poor, rich


class TestBudget:
    def test_what_it_has_no_room_for_is_refused_and_costs_nothing(self, nights: tuple[Workspace, Workspace]) -> None:
        poor, _ = nights
        charges = Ledger.open(poor.ledger_url).charges()
        assert [(charge.slot.start, charge.slot.release, charge.cost.rho) for charge in charges] == [
            (week, release, Decimal(rho)) for week in WEEKS[:2] for release, rho in COSTS.items()
        ]
        folder = publish.current(poor)
        assert folder is not None
        rows = published(folder)
        assert set(zip(rows.period_start, rows.status, strict=True)) == {
            *((week, "ineligible") for week in WEEKS[:2]),
            *((week, "budget") for week in WEEKS[2:]),
        }
        refused = rows[rows.status == "budget"]
        assert len(refused) == len(rows) / 2
        silent = ["active_users", "active_users_sigma", "adopters", "adopters_sigma", "adoption_share", "mechanism"]
        assert refused[silent].isna().all(axis=None)
        refusal = {"command": "run", "error": "BudgetExhausted", "at": "budget.check"}
        assert [entry.facts for entry in AuditLog(poor).of("refused")] == [refusal] * 2 * len(COSTS)

    def test_a_refusal_is_not_for_good(self, nights: tuple[Workspace, Workspace]) -> None:
        first, second = (Ledger.open(night.ledger_url).answers("feature_usage") for night in nights)
        assert [answer.slot.start for answer in second] == WEEKS
        assert second[:2] == first

    @pytest.mark.parametrize(
        ("found", "said"), [("no ledger", "there is no ledger"), ("an older one", "an older ledger")]
    )
    def test_without_its_ledger_nothing_is_released(
        self, nights: tuple[Workspace, Workspace], tmp_path: Path, found: str, said: str
    ) -> None:
        poor, rich = nights
        workspace = worlds.copied(rich, tmp_path / "workspace")
        ledger = workspace.root / "ledger" / "ledger.db"
        ledger.unlink()
        if found == "an older one":
            shutil.copy2(poor.root / "ledger" / "ledger.db", ledger)
        before = worlds.file_hashes(workspace.root)
        night = worlds.quorum(workspace, "run", "--as-of", str(worlds.LAST_DAY))
        assert night.exit_code == 4
        assert said in night.stderr
        assert len(night.stderr.splitlines()) == 1
        after = worlds.file_hashes(workspace.root)
        assert {path for path in after if after[path] != before.get(path)} == {
            "restricted/audit.jsonl",
            "restricted/heads.json",
        }, "nothing was done but to say so"
        assert after.keys() == before.keys()
