"""The same input, night after night: nothing is drawn again, so nothing averages the noise away."""

from pathlib import Path

import pytest

from quorum.ledger import Ledger
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

NIGHTS = 200


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_two_hundred_nights_release_what_the_first_did(simulated_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    ledger = Ledger.open(workspace.ledger_url)
    before = worlds.file_hashes(workspace.published), ledger.charges(), ledger.answers("feature_usage")
    first = ledger.length
    for _ in range(NIGHTS):
        night = worlds.run(workspace)
        assert (night.outcomes, night.published) == ([], None)
    assert before == (worlds.file_hashes(workspace.published), ledger.charges(), ledger.answers("feature_usage"))
    assert [entry.kind for entry in ledger.entries()[first:]] == ["anchor"] * NIGHTS
