"""What a workspace has published, and how it is opened."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd

from quorum import release_folders
from quorum.encryption import load_encryption
from quorum.keyring import Keyring, TenantKeys
from quorum.workspace import Workspace

BENCHMARKS = ("mart_benchmark_catalog", "mart_benchmark_features", "mart_benchmarks")


def release(workspace: Workspace) -> Path:
    folder = release_folders.current(workspace)
    assert folder is not None
    return folder


def bundles(workspace: Workspace) -> dict[Path, TenantKeys]:
    """Return each bundle, and the keys of the tenant that it is for."""
    keys = Keyring.open(workspace.keyring).tenants().values()
    return {release(workspace) / "tenants" / each.tenant_key / "tenant.duckdb": each for each in keys}


@contextmanager
def opened(bundle: Path, key: bytes) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        load_encryption(connection)
        text = base64.b64encode(key).decode()
        connection.execute(f"attach '{bundle}' as bundle (read_only, encryption_key '{text}')")
        connection.execute("use bundle")
        yield connection


def features(release: Path) -> pd.DataFrame:
    """Return the benchmarks of features, in no order."""
    return pd.read_parquet(release / "cross_tenant" / "mart_benchmark_features.parquet")
