"""Bugs planted in the dbt project, for tests that say what would find them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from quorum.runner import Dbt


@dataclass(frozen=True)
class Bug:
    """Code of a model or macro, and what stands there instead."""

    where: str
    sound: str
    planted: str


@contextmanager
def planted(dbt: Dbt, bug: Bug) -> Iterator[None]:
    """Plant a bug in what dbt has parsed, for to parse a changed copy takes longer than to run a few models of it."""
    manifest = dbt.manifest()
    parts: list[tuple[Any, str]] = [(node, "raw_code") for node in manifest.nodes.values()]
    parts += [(macro, "macro_sql") for macro in manifest.macros.values()]
    [(part, code)] = [each for each in parts if each[0].name == bug.where]
    sound = getattr(part, code)
    assert sound.count(bug.sound) == 1, f"{bug.where} does not say once: {bug.sound}"
    setattr(part, code, sound.replace(bug.sound, bug.planted))
    try:
        yield
    finally:
        setattr(part, code, sound)
