"""Readers hold and reopen the marts while releases come and go: no error, and no version that is of two releases."""

import multiprocessing
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

from quorum import bundles, publish, release_folders, warehouse
from quorum.keyring import Keyring
from quorum.marts import Published
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import readers, worlds
from tests.end_to_end.conftest import Night

SWAPS = 15


class Publisher:
    """Publishes one release after the other, as nights do; all rows of each name its number."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._marts = Published.of(Dbt(workspace).manifest())
        self._tenants = bundles.of_tenants(workspace, Keyring.open(workspace.keyring))
        self._published = 0

    def publish(self) -> None:
        """Sweep as a night does when it begins, then publish what differs from the last release in its number."""
        number = str(self._published)
        with warehouse.opened(self.workspace, "released") as connection:
            for mart in readers.MARTS:
                connection.execute(f"update {mart} set policy_version = ?", [number])
        facts: dict[str, Any] = {"as_of": str(worlds.LAST_DAY), "privacy": {"policy_version": number}}
        release_folders.sweep(self.workspace)
        publication = publish.Publication(self.workspace, self._marts, facts, [])
        publication.build(self._tenants, (), (), worlds.silent)
        assert publication.publish()
        self._published += 1


@pytest.fixture
def publisher(simulated_night: Night, tmp_path: Path) -> Publisher:
    """Have published number 0."""
    publisher = Publisher(worlds.copied(simulated_night.workspace, tmp_path / "workspace"))
    publisher.publish()
    return publisher


def watched(
    publisher: Publisher, ways: tuple[str, ...], swaps: int, look: Callable[[int], None] = lambda _swap: None
) -> dict[str, list[int]]:
    """Publish while readers, each in a process of its own, are at work; return the versions that each has opened.

    Raises what went wrong for one of them.
    """
    signs = publisher.workspace.root / "signs"
    signs.mkdir()
    with ProcessPoolExecutor(len(ways), multiprocessing.get_context("spawn")) as pool:
        watching = {
            way: pool.submit(readers.watch, way, publisher.workspace.published, signs / way, signs / "stop")
            for way in ways
        }
        try:
            while not all(future.done() or (signs / way).exists() for way, future in watching.items()):
                time.sleep(0.05)
            for swap in range(1, swaps + 1):
                publisher.publish()
                look(swap)
                if any(future.done() for future in watching.values()):
                    break  # with an error
        finally:
            (signs / "stop").touch()
        return {way: future.result() for way, future in watching.items()}


@pytest.mark.parametrize("swaps", [SWAPS, pytest.param(50, marks=pytest.mark.soak)])
def test_readers_see_one_release_after_the_other(publisher: Publisher, swaps: int) -> None:
    """And who has opened the first keeps it for as long as `docs/dashboards.md` says."""
    published = publisher.workspace.published
    first = readers.newest(published)
    with ExitStack() as stack:
        held = {name: stack.enter_context(way(first)) for name, way in readers.WAYS.items()}

        def look(swap: int) -> None:
            if swap < release_folders.KEPT_RELEASES:
                assert {readers.version(first, look) for look in held.values()} == {"0"}

        opened = watched(publisher, tuple(readers.WAYS), swaps, look)
        assert not first.exists()
        assert held.pop("attached")() == {"0"}, "a file that is open stays"
        for look_again in held.values():
            with pytest.raises((duckdb.IOException, FileNotFoundError)):
                look_again()
    for numbers in opened.values():
        assert numbers == sorted(numbers), "nobody goes back"
        assert numbers[-1] == swaps
        assert len(set(numbers)) > swaps / 3, "they looked while releases came and went"
    assert len(list((published / "releases").iterdir())) == release_folders.KEPT_RELEASES + 1


def write_in_place(workspace: Workspace, release: str) -> None:
    """Do without a new folder for readers: the files of the new release take the place of the old ones, in turn."""
    for file in (workspace.published / "releases" / release / "cross_tenant").iterdir():
        shutil.copy2(file, file.with_name("moving"))
        (file.with_name("moving")).replace(readers.newest(workspace.published) / "cross_tenant" / file.name)
        time.sleep(0.1)


def move_in_two_steps(workspace: Workspace, release: str) -> None:
    link = workspace.published / "current"
    link.unlink()
    time.sleep(0.5)
    link.symlink_to(Path("releases") / release)


@pytest.mark.parametrize(
    ("bug", "seen"), [(write_in_place, readers.MixedVersions), (move_in_two_steps, FileNotFoundError)]
)
def test_readers_notice_a_publication_that_is_not_one_step(
    publisher: Publisher,
    bug: Callable[[Workspace, str], None],
    seen: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release_folders, "move", bug)
    with pytest.raises(seen):
        watched(publisher, ("parquet_by_duckdb",), 8)
