"""What lies in a release: all that a manifest lists and nothing else, explained, checked, and paid for."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from quorum import release_folders
from quorum.keyring import TenantKeys
from quorum.ledger import Ledger
from quorum.marts import METRIC_CATALOG, Relation
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import event
from tests.end_to_end.published import releases


def test_it_holds_what_it_should_and_nothing_more(
    workspace: Workspace, release: Path, bundles: Mapping[Path, TenantKeys]
) -> None:
    cross_tenant = (
        "benchmarks.duckdb",
        "index.html",
        *(f"{mart}.parquet" for mart in releases.BENCHMARKS),
        "manifest.json",
    )
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


def test_a_manifest_lists_its_own_folder(release: Path, bundles: Mapping[Path, TenantKeys]) -> None:
    for folder in [release / "cross_tenant", *(bundle.parent for bundle in bundles)]:
        manifest = release_folders.manifest(folder)
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
        assert manifest["files"] == {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        }
        text = json.dumps(manifest)
        assert not [keys.tenant_key for keys in bundles.values() if keys.tenant_key in text]
        assert not [keys.tenant_id for keys in bundles.values() if keys.tenant_id in text]


def test_every_column_explains_itself(
    release: Path, bundles: Mapping[Path, TenantKeys], marts: tuple[Relation, ...]
) -> None:
    comments = """
        select table_name, comment from duckdb_tables()
        union all
        select column_name, comment from duckdb_columns() where not internal
    """
    bundle, keys = next(iter(bundles.items()))
    with duckdb.connect(release / "cross_tenant" / "benchmarks.duckdb", read_only=True) as connection:
        benchmarks = connection.execute(comments).fetchall()
    with releases.opened(bundle, keys.bundle_key) as connection:
        exact = connection.execute(comments).fetchall()
        metrics = connection.execute(f"select * from {METRIC_CATALOG} limit 1").fetchall()
    parquets = [release / "cross_tenant" / f"{mart}.parquet" for mart in releases.BENCHMARKS]
    assert len(benchmarks) == sum(1 + len(pd.read_parquet(parquet).columns) for parquet in parquets)
    assert len(exact) == sum(1 + len(mart.columns) for mart in marts) + 1 + len(metrics[0])
    assert not [name for name, comment in benchmarks + exact if not comment]
    for parquet in parquets:
        metadata = duckdb.execute(f"select decode(key), decode(value) from parquet_kv_metadata('{parquet}')").fetchall()
        assert set(metadata) <= set(benchmarks)
        assert len(metadata) == len(pd.read_parquet(parquet).columns)


def test_who_may_read_and_write(workspace: Workspace) -> None:
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

    folder = releases.release(copy)
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
    instant = worlds.noon(worlds.LAST_DAY)
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


def test_a_release_names_the_ledger_that_paid_for_it(workspace: Workspace, release: Path) -> None:
    privacy: dict[str, Any] = release_folders.manifest(release / "cross_tenant")["privacy"]
    ledger = Ledger.open(workspace.ledger_url)
    assert (privacy["ledger"], privacy["ledger_entries"]) == (ledger.identity, 1 + 2 * len(ledger.charges()))
    assert [entry.kind for entry in ledger.entries()[privacy["ledger_entries"] :]] == ["anchor"]
