"""What is published opens in whatever a BI tool reads with, and each finds the rows of the mart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
import sqlalchemy as sa

from quorum.workspace import Workspace
from tests.end_to_end import readers, worlds
from tests.end_to_end.conftest import Night

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


@pytest.fixture(scope="module")
def folder(workspace: Workspace) -> Path:
    return readers.newest(workspace.published) / "cross_tenant"


def duckdb_file(folder: Path, mart: str) -> Rows:
    with duckdb.connect(folder / "benchmarks.duckdb", read_only=True) as connection:
        return connection.execute(f"from {mart} order by all").fetchall()


def parquet_by_duckdb(folder: Path, mart: str) -> Rows:
    with duckdb.connect() as connection:
        return connection.execute(f"from '{folder / mart}.parquet' order by all").fetchall()


def pandas(folder: Path, mart: str) -> Rows:
    frame = pd.read_parquet(folder / f"{mart}.parquet", dtype_backend="pyarrow").astype(object)
    return list(frame.where(frame.notna(), None).itertuples(index=False, name=None))


def polars(folder: Path, mart: str) -> Rows:
    return pl.read_parquet(folder / f"{mart}.parquet").rows()


def polars_from_duckdb(folder: Path, mart: str) -> Rows:
    with duckdb.connect(folder / "benchmarks.duckdb", read_only=True) as connection:
        return connection.execute(f"from {mart} order by all").pl().rows()


def sqlalchemy(folder: Path, mart: str) -> Rows:
    pytest.importorskip("duckdb_engine", reason="duckdb-engine is not installed: SQLAlchemy cannot open a DuckDB file")
    engine = sa.create_engine(
        f"duckdb:///{folder / 'benchmarks.duckdb'}", poolclass=sa.NullPool, connect_args={"read_only": True}
    )
    assert set(sa.inspect(engine).get_table_names()) == set(readers.MARTS)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(f"select * from {mart} order by all"))]


@pytest.mark.parametrize("opened", [duckdb_file, parquet_by_duckdb, pandas, polars, polars_from_duckdb, sqlalchemy])
def test_each_finds_the_rows_of_the_mart(
    workspace: Workspace, folder: Path, opened: Callable[[Path, str], Rows]
) -> None:
    for mart in readers.MARTS:
        expected = worlds.fetch(workspace, "released", f"select * from {mart} order by all")
        assert opened(folder, mart) == expected, mart
    assert any("released" in row for row in expected), "there are figures to be read"


def test_nobody_writes_into_a_release(folder: Path) -> None:
    with (
        duckdb.connect(folder / "benchmarks.duckdb", read_only=True) as connection,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        connection.execute("delete from mart_benchmarks")
