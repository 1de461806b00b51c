"""Models of cohorts and bounded cells as SQL over tables that a test makes, without a parse of the whole project."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import duckdb
import jinja2
import pyarrow as pa

from quorum.settings import project_directory


@cache
def _macros() -> str:
    folder = project_directory() / "macros" / "anonymity"
    return "".join(path.read_text("utf-8") for path in sorted(folder.glob("*.sql")))


def sql(text: str) -> str:
    """Return the text of a model as SQL; relations have their bare names."""
    names = {
        "source": lambda _source, name: name,
        "ref": lambda name: name,
        "integer_division": lambda dividend, divisor: f"(({dividend}) // ({divisor}))",
        "sha256_text": lambda value: f"sha256({value})",
        "matches": lambda value, pattern: f"regexp_matches({value}, '{pattern}')",
        "struct_of": lambda fields: f"struct_pack({', '.join(f'{name} := {value}' for name, value in fields.items())})",
        "sorted_list": lambda value: f"list_sort(list({value}))",
    }
    # values are names of our own relations, so there is nothing to escape
    return jinja2.Environment(autoescape=False).from_string(_macros() + text).render(names)  # noqa: S701


def model(path: str) -> str:
    """Return a model as SQL, by its path below ``models/``."""
    return sql((project_directory() / "models" / path).read_text("utf-8"))


def fetched(query: str, tables: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the rows of a query over tables of rows."""
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, rows in tables.items():
            connection.register(name, pa.Table.from_pylist(list(rows)))
        found: list[dict[str, Any]] = connection.execute(query).to_arrow_table().to_pylist()
    return found
