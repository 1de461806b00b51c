"""A format is one SQL file and one YAML file: nothing else in a copy of the project changes."""

import shutil
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner

from quorum import settings
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import registered

PROJECT = ("dbt_project.yml", "selectors.yml", "profiles", "models", "macros", "seeds", "tests")
SQL = """
with source as (

    {{ landed('till', {'number': '$.receipt', 'card': '$.card', 'rung_up_at': '$.at', 'receipt': '$'}) }}

),

renamed as (

    {{ event_contract('source', {
        'event_id': 'number',
        'user_id': 'card',
        'event_name': "'sale'",
        'properties': 'receipt',
        'occurred_at': epoch_timestamp('rung_up_at')
    }) }}

)

select * from renamed
"""
YAML = """
version: 2

models:
  - name: stg_till__events
    description: One row per receipt of a till.
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with one format more."""
    original, copy = settings.project_directory(), tmp_path / "project"
    copy.mkdir()
    for name in PROJECT:
        (shutil.copytree if (original / name).is_dir() else shutil.copyfile)(original / name, copy / name)
    folder = copy / "models" / "staging" / "till"
    folder.mkdir()
    (folder / "stg_till__events.sql").write_text(SQL)
    (folder / "_stg_till.yml").write_text(YAML)
    monkeypatch.setenv("QUORUM_PROJECT", str(copy))
    return copy


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = worlds.registered(tmp_path / "workspace", [registered("acme")])
    rows = ['{"receipt": 1, "card": "c1", "at": 1774695600}', '{"receipt": 2, "at": 1774695600}', '{"card": "c1"}']
    worlds.land(workspace, "tenant=acme/receipts.jsonl", rows, "till")
    return workspace


@pytest.mark.usefixtures("project")
def test_a_new_format_lands_end_to_end(workspace: Workspace) -> None:
    worlds.build(workspace, tested=True)
    query = "select source_format, event_name, occurred_at::text from int_events"
    assert worlds.fetch(workspace, "tenant", query) == [("till", "unlisted", "2026-03-28 11:00:00")]
    reasons = worlds.fetch(workspace, "restricted", "select reason from int_quarantine order by landing_row")
    assert reasons == [("missing_identity",), ("bad_timestamp",)]


def test_dbt_by_hand_asks_for_its_name(project: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that nothing reads would drop the rows without a word."""
    workspace.prepare()
    monkeypatch.setenv("QUORUM_WORKSPACE", str(workspace.root))
    monkeypatch.chdir(project)
    outcome = dbtRunner().invoke(["compile", "--select", "int_events_clocked", "--profiles-dir", "profiles", "--quiet"])
    assert not outcome.success
    assert "format till has a staging model: add it to `formats` in dbt_project.yml" in str(outcome.exception)
