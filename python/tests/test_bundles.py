"""Digests and bundle files, over a warehouse of two marts and three tenants of whom one has no rows."""

import base64
import dataclasses
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from quorum import bundles, digests
from quorum.bundles import Bundle
from quorum.encryption import load_encryption
from quorum.marts import Column, Published, Relation

ACME, GLOBEX, SILENT = TENANTS = ["aa" * 16, "bb" * 16, "cc" * 16]
USES = Relation(
    "mart_tenant_uses",
    "One row per tenant, day and feature; isn't it?",
    (
        Column("tenant_key", "varchar", "Whose it is.", True),
        Column("day", "date", "The tenant's day.", True),
        Column("feature", "varchar", "What was used.", False),
        Column("detail", "varchar", "", False),
        Column("adoption", "decimal(9, 6)", "A share.", False),
    ),
    ("tenant_key", "day", "feature"),
)
LATER = Relation(
    "mart_tenant_later", "Nothing yet.", (Column("tenant_key", "varchar", "Its own.", True),), ("tenant_key",)
)
CATALOG = Relation("metric_catalog", "What it means.", (Column("mart", "varchar", "The mart.", False),), ("mart",))
PUBLISHED = Published((LATER, USES), CATALOG, ())

Row = tuple[Any, ...]


def warehouse(rows: list[Row], threads: int = 4) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": threads})
    load_encryption(connection)
    connection.execute("attach ':memory:' as tenant")
    for relation in (USES, LATER, CATALOG):
        types = ", ".join(f"{column.name} {column.data_type}" for column in relation.columns)
        connection.execute(f"create table tenant.{relation.name} ({types})")
    connection.execute(f"insert into tenant.{CATALOG.name} values ('{USES.name}'), ('mart_of_others')")
    named = [dict(zip((column.name for column in USES.columns), row, strict=True)) for row in rows]
    incoming = pa.Table.from_pylist(named, pa.schema([(column.name, pa.string()) for column in USES.columns]))
    connection.register("incoming", incoming)
    connection.execute(f"insert into tenant.{USES.name} from incoming")
    return connection


def digest(rows: list[Row], published: Published = PUBLISHED, **settings: int) -> str:
    """Return the digest of the first tenant's uses."""
    with warehouse(rows, **settings) as connection:
        return str(digests.of_bundles(connection, published, TENANTS)[ACME][USES.name]["digest"])


def uses(tenant: str, n: int, detail: str | None = None) -> list[Row]:
    return [(tenant, f"2026-03-{1 + i % 28:02}", f"feature {i}", detail, f"{i / 7:.6f}") for i in range(n)]


class TestDigest:
    def test_order_threads_and_other_tenants_change_nothing(self) -> None:
        own, others = uses(ACME, 5000), uses(GLOBEX, 3000)
        expected = digest(own, threads=1)
        assert digest([*others, *reversed(own)]) == expected
        assert digest([*own[::2], *others[:7], *own[1::2]], threads=2) == expected

    def test_no_two_rows_have_one_text(self) -> None:
        texts = [None, "", "-", "0:", "NULL", "4:NULL", "-4:", "1:-", "-0:", "é", "e\u0301"]
        rows: list[Row] = [(ACME, "2026-03-01", *pair, "0.5") for pair in product(texts, texts)]
        with warehouse(rows) as connection:
            assert len(set(digests._texts(connection, USES, "tenant_key", TENANTS))) == len(rows)

    @pytest.mark.parametrize(
        ("column", "value"), [(1, "2026-03-02"), (2, "x"), (3, "feature 0"), (4, "0.000001"), (4, None)]
    )
    def test_another_value_has_another_digest(self, column: int, value: str | None) -> None:
        [row] = uses(ACME, 1)
        assert digest([row]) != digest([(*row[:column], value, *row[column + 1 :])])

    def test_a_row_more_or_less_has_another_digest(self) -> None:
        rows = uses(ACME, 2)
        assert len({digest(each) for each in ([], rows[:1], rows[:1] * 2, rows, rows * 2)}) == 5

    def test_another_meaning_has_another_digest(self) -> None:
        """Or a bundle would keep the comments that it had."""
        told = dataclasses.replace(USES, meaning="One row.")
        column = dataclasses.replace(USES.columns[-1], meaning="A part.")
        of_column = dataclasses.replace(USES, columns=(*USES.columns[:-1], column))
        changed = (dataclasses.replace(PUBLISHED, of_tenants=(LATER, each)) for each in (USES, told, of_column))
        assert len({digest(uses(ACME, 1), each) for each in changed}) == 3

    def test_rows_are_counted(self) -> None:
        with warehouse(uses(ACME, 3) + uses(GLOBEX, 2)) as connection:
            contents = digests.of_bundles(connection, PUBLISHED, TENANTS)
        counts = [[contents[tenant][each.name]["rows"] for each in (USES, LATER, CATALOG)] for tenant in TENANTS]
        assert counts == [[3, 0, 1], [2, 0, 1], [0, 0, 1]]


def test_a_bundle_holds_every_mart_and_no_row_of_another(tmp_path: Path) -> None:
    """Nothing of a mart is an empty table, and each says what it means."""
    rows = uses(ACME, 30, "its own") + uses(GLOBEX, 20)
    written = {tenant: Bundle(tenant, base64.b64encode(bytes([n]) * 32).decode()) for n, tenant in enumerate(TENANTS)}
    with warehouse(rows) as connection, bundles.staged(connection) as stage:
        stage.add_marts(PUBLISHED, TENANTS)
        for bundle in written.values():
            stage.write(tmp_path / bundle.tenant_key, bundle)
    for tenant, bundle in written.items():
        with duckdb.connect() as connection:
            load_encryption(connection)
            connection.execute(f"attach '{tmp_path / tenant}' as bundle (read_only, encryption_key '{bundle.key}')")
            connection.execute("use bundle")
            found = connection.execute("select tenant_key, count(*) from mart_tenant_uses group by all").fetchall()
            assert found == [(row[0], n) for row, n in ((rows[0], 30), (rows[-1], 20)) if row[0] == tenant]
            assert connection.execute("select * from mart_tenant_later").fetchall() == []
            assert connection.execute("select * from metric_catalog").fetchall() == [(USES.name,)]
            tables = connection.execute("select table_name, comment from duckdb_tables() order by all").fetchall()
            assert tables == sorted((each.name, each.meaning) for each in (USES, LATER, CATALOG))
            comments = connection.execute("select column_name, comment from duckdb_columns() where not internal")
            meanings = [(column.name, column.meaning) for each in (USES, LATER, CATALOG) for column in each.columns]
            assert sorted(comments.fetchall()) == sorted(meanings)
    assert sorted(path.name for path in tmp_path.iterdir()) == TENANTS


def test_a_write_that_fails_lets_go_of_the_file(tmp_path: Path) -> None:
    with warehouse(uses(ACME, 1)) as connection, bundles.staged(connection) as stage:
        stage.add_marts(PUBLISHED, TENANTS)
        connection.execute(f"drop table staged.{LATER.name}")
        with pytest.raises(duckdb.CatalogException):
            stage.write(tmp_path / "broken", Bundle(ACME, base64.b64encode(bytes(32)).decode()))
        attached = connection.execute("select database_name from duckdb_databases() where not internal").fetchall()
        assert ("bundle",) not in attached
