"""Readers of what is published, as a BI tool is one: each opens a release in its own way, holds it, and looks again.

A version is what the rows and the manifest of a release name as ``policy_version``; tests give each release another.
Libraries are imported where they are used: a process has the one that it reads with.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import duckdb

MARTS = ("mart_benchmark_catalog", "mart_benchmark_features", "mart_benchmarks")
LOOKS = 3  # at a release that is held
PAUSE_SECONDS = 0.05

Look = Callable[[], set[str]]


class MixedVersions(AssertionError):
    """What was opened as one release is of two."""


def newest(published: Path) -> Path:
    """Resolve the link once: all that is opened below what comes of it is of one release."""
    return (published / "current").resolve(strict=True)


@contextmanager
def attached(release: Path) -> Iterator[Look]:
    """Hold the DuckDB file open, and query it."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{release}/cross_tenant/benchmarks.duckdb' as held (read_only)")
        query = " union ".join(f"select policy_version from held.{mart}" for mart in MARTS)
        yield lambda: {version for (version,) in connection.execute(query).fetchall()}


@contextmanager
def parquet_by_duckdb(release: Path) -> Iterator[Look]:
    """Keep views over the Parquet files, which are opened by name at each query."""
    with duckdb.connect() as connection:
        for mart in MARTS:
            connection.execute(f"create view {mart} as from '{release}/cross_tenant/{mart}.parquet'")
        query = " union ".join(f"select policy_version from {mart}" for mart in MARTS)
        yield lambda: {version for (version,) in connection.execute(query).fetchall()}


@contextmanager
def pandas(release: Path) -> Iterator[Look]:
    """Read the Parquet files whole, at each look anew."""
    import pandas as pd

    files = [release / "cross_tenant" / f"{mart}.parquet" for mart in MARTS]
    yield lambda: {version for file in files for version in pd.read_parquet(file).policy_version}


@contextmanager
def polars(release: Path) -> Iterator[Look]:
    """Keep lazy frames, which are opened by name at each ``collect``."""
    import polars as pl

    frames = [pl.scan_parquet(release / "cross_tenant" / f"{mart}.parquet") for mart in MARTS]
    yield lambda: {version for frame in frames for version in frame.collect()["policy_version"]}


WAYS: dict[str, Callable[[Path], AbstractContextManager[Look]]] = {
    each.__name__: each for each in (attached, parquet_by_duckdb, pandas, polars)
}


def version(release: Path, look: Look) -> str:
    """Return the version that the manifest and all rows of a release agree on."""
    manifest = json.loads((release / "cross_tenant" / "manifest.json").read_text())
    found = {manifest["privacy"]["policy_version"]} | look()
    if len(found) != 1:
        raise MixedVersions(f"{release} shows {sorted(found)}")
    return found.pop()


def watch(way: str, published: Path, begun: Path, stop: Path) -> list[int]:
    """Open the newest release, hold it for some looks and open the newest again, until ``stop`` is there.

    Return the versions that were opened, in order; raises MixedVersions, and whatever the library raises. A file
    ``begun`` says that the first was opened.
    """
    opened: list[int] = []
    while True:
        is_last = stop.exists()
        release = newest(published)
        with WAYS[way](release) as look:
            held = version(release, look)
            begun.touch()
            for _ in range(LOOKS):
                time.sleep(PAUSE_SECONDS)
                if version(release, look) != held:
                    raise MixedVersions(f"{release} was {held}, and is another")
        opened.append(int(held))
        if is_last:
            return opened
