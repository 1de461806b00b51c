"""The real macros over values that a test makes: rendered by dbt, run by DuckDB."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from quorum.hmac_sql import CHAIN, PADS
from quorum.keyring import pads
from quorum.runner import Dbt
from quorum.workspace import Workspace

KEY = bytes(range(32))


@cache
def rendered(expression: str) -> str:
    """Return the SQL of an expression with macros in it."""
    with TemporaryDirectory() as folder:
        Path(folder, "landing").mkdir()
        workspace = Workspace(Path(folder))
        workspace.prepare()
        return Dbt(workspace).compiled("select {{ " + expression + " }} as result")


@cache
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("attach ':memory:' as keyring")
    connection.execute(CHAIN.format(kind="", name="keyring.main.hmac_chain"))
    return connection


def results(expression: str, values: Iterable[Any], columns: Sequence[str] = ("value",)) -> list[Any]:
    """Return what an expression makes of each value: of ``value``, under the key ``KEY``, or of several columns."""
    rows = [row if len(columns) > 1 else (row,) for row in values]
    inner, outer = pads(KEY)
    table: dict[str, Any] = {name: pa.array([row[place] for row in rows]) for place, name in enumerate(columns)}
    for name in columns:
        if table[name].type == pa.null():
            table[name] = table[name].cast(pa.string())
    table |= {"row_number": range(len(rows)), "inner_pad": [inner] * len(rows), "outer_pad": [outer] * len(rows)}
    table["further_pads"] = pa.array([[]] * len(rows), pa.list_(pa.struct(PADS)))
    connection().register("given", pa.table(table))
    found = connection().execute(f"{rendered(expression)} from given order by row_number").fetchall()
    return [result for (result,) in found]
