"""Copies of the dbt project, for tests that add to it."""

import shutil
from pathlib import Path

import pytest

from quorum import settings

PARTS = ("dbt_project.yml", "selectors.yml", "profiles", "models", "macros", "seeds", "tests")


def copied_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy what dbt reads, and let Quorum run on the copy until the patch is undone."""
    original, copy = settings.project_directory(), root / "project"
    copy.mkdir()
    for name in PARTS:
        source = original / name
        shutil.copytree(source, copy / name) if source.is_dir() else shutil.copy2(source, copy / name)
    monkeypatch.setenv("QUORUM_PROJECT", str(copy))
    return copy
