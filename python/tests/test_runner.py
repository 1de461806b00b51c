"""One parse of dbt serves many builds: each is as if it had been the first."""

import shutil
from pathlib import Path

import duckdb
import pytest

from quorum import settings
from quorum.runner import Dbt
from tests.end_to_end import worlds

PROJECT = """
name: quorum
version: "1.0"
profile: quorum
model-paths: [models]
"""
# each workspace has a word of its own, so that what an earlier build compiled shows
MODELS = {
    "innermost": "{{ config(materialized='ephemeral') }} select '{{ env_var(\"QUORUM_WORKSPACE\") }}' as root",
    "between": "{{ config(materialized='ephemeral') }} select * from {{ ref('innermost') }}",
    "outermost": "{{ config(materialized='table') }} select * from {{ ref('between') }}",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(settings.project_directory() / "profiles", root / "profiles")
    (root / "dbt_project.yml").write_text(PROJECT)
    (root / "models" / "staging").mkdir(parents=True)
    for name, sql in MODELS.items():
        (root / "models" / "staging" / f"{name}.sql").write_text(sql)
    monkeypatch.setenv("QUORUM_PROJECT", str(root))
    return root


@pytest.mark.usefixtures("project")
def test_ephemeral_models_are_put_in_by_each_build(tmp_path: Path) -> None:
    for name in ("first", "second", "second"):
        workspace = worlds.registered(tmp_path / name, [{"tenant_id": "acme"}])
        workspace.prepare()
        dbt = Dbt(workspace)
        dbt.manifest()
        dbt._invoke("run", ["--target", "tenant"])
        with duckdb.connect(str(workspace.plane("tenant")), read_only=True) as plane:
            assert plane.sql("select root from outermost").fetchall() == [(str(workspace.root),)]
