"""Which field of a raw format becomes which field of the event contract, as the staging models say it.

The macros that read landed lines leave in the manifest what they were given: paths by column (``reads_line``), paths
inside a column that holds JSON (``reads_<column>``), and the expression of each field (``contract``). A field comes
from every raw one that its expression names, also by way of a column that a step between the two computes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

SCHEMA = pa.schema([(name, pa.string()) for name in ("source_format", "raw_field", "contract_field")])
WHOLE_LINE = "$"

_STEP = re.compile(r'\."([^"]*)"|\.([^."\[]+)|(\[\d+\])')
_ADDED = re.compile(r"\bselect\s+\*,(.*?)\bfrom\s", re.DOTALL)  # a step that adds columns to what it reads
_ALIAS = re.compile(r"\bas (\w+)\s*(?:,|$)", re.MULTILINE)
_LITERAL = re.compile("'[^']*'")

Paths = Mapping[str, str | list[str]]


def table(manifest: "Manifest") -> pa.Table:
    """Return a row per raw format, raw field and field of the contract that it goes into."""
    rows = [
        {"source_format": node.path.split("/")[1], "raw_field": raw, "contract_field": field}
        for node in manifest.nodes.values()
        if node.resource_type == "model" and "contract" in node.config.meta
        for field, raw in sorted(mapped(node.config.meta, node.raw_code))
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def mapped(meta: Mapping[str, Paths], sql: str) -> set[tuple[str, str]]:
    """Return the pairs of contract field and raw field of one staging model."""
    origins: dict[str, set[str]] = {}
    for column, paths in meta["reads_line"].items():
        origins[column] = {name_of(path) for path in ([paths] if isinstance(paths, str) else paths)}
    _follow(origins, sql)
    for key, columns in meta.items():
        if key.startswith("reads_") and key != "reads_line":
            outer = origins[key.removeprefix("reads_")]
            for column, paths in columns.items():
                inner = {name_of(path) for path in ([paths] if isinstance(paths, str) else paths)}
                origins[column] = {f"{base}.{name}" for base in outer for name in inner}
    _follow(origins, sql)
    return {
        (field, raw)
        for field, expression in meta["contract"].items()
        for raw in _origins_of(_LITERAL.sub("", str(expression)), origins)
    }


def name_of(path: str) -> str:
    """Return a JSON path as a person writes it: ``$.context."page title"`` is ``context.page title``."""
    steps: Iterator[str] = (
        index or f".{quoted or plain}" for quoted, plain, index in _STEP.findall(path.removeprefix("$"))
    )
    return "".join(steps).removeprefix(".") or WHOLE_LINE


def _follow(origins: dict[str, set[str]], sql: str) -> None:
    """Add the columns that a step between reading and renaming computes: each from all that the step names."""
    for body in _ADDED.findall(sql):
        found = _origins_of(body, origins)
        for alias in _ALIAS.findall(body):
            origins[alias] = found


def _origins_of(text: str, origins: Mapping[str, Iterable[str]]) -> set[str]:
    return {raw for word in set(re.findall(r"\w+", text)) for raw in origins.get(word, ())}
