"""Settings of all tests."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres

# a shared machine may stall for a second: how long an example takes says nothing about it
settings.register_profile("quorum", deadline=None)
settings.load_profile("quorum")

# dbt makes and drops objects by the million: looking for garbage this seldom costs memory, and there is enough
gc.set_threshold(100_000, 20, 20)

# The files that take longest, in that order: where two processes share the work, both end at about the same time.
LONGEST = (
    *("demo", "no_leak", "real_inputs", "erasure", "key_epochs", "nightly", "kill", "product_nights", "gate"),
    *("benchmarks", "tenant_erasure", "rollback", "backfill", "new_release", "quotas", "bad_input", "planted_bugs"),
    *("exact_side_channels", "batch_guards", "hostile_text", "sensitivity_over_weeks", "budget_nights", "sensitivity"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    found = postgres.programs()
    if found is None:
        pytest.skip("needs `initdb` and `postgres`: no PostgreSQL server is installed here")
    return found


@pytest.fixture(scope="session")
def server(programs: Path) -> Iterator[postgres.Server]:
    """A real server of PostgreSQL, on a socket of its own."""
    with postgres.running(programs) as server:
        yield server
