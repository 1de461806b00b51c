"""The bundle that a tenant gets: its own rows of every mart, for who has its key and for nobody else."""

import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography.exceptions import InvalidTag

from quorum import publish, release_folders
from quorum.encryption import load_encryption
from quorum.keyring import TenantKeys
from quorum.marts import METRIC_CATALOG, Relation
from quorum.pages import sealing
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.published import releases
from tests.html_text import sealed

BUNDLED = f"select * from {METRIC_CATALOG} where mart like 'mart_tenant_%' order by all"


def test_each_holds_the_rows_of_its_tenant(
    workspace: Workspace, bundles: Mapping[Path, TenantKeys], marts: tuple[Relation, ...]
) -> None:
    """Of every mart, though only the benchmarks' figures are not explained in it."""
    rows: dict[str, dict[str, list[Any]]] = {mart.name: defaultdict(list) for mart in marts}
    for mart, of_tenant in rows.items():
        for row in worlds.fetch(workspace, "tenant", f"select * from {mart} order by all"):
            of_tenant[row[0]].append(row)
    metrics = worlds.fetch(workspace, "tenant", BUNDLED)
    for bundle, keys in bundles.items():
        contents = release_folders.manifest(bundle.parent)["relations"]
        counted = release_folders.operator_manifest(workspace, bundle.parents[2].name)["rows"][keys.tenant_key]
        assert not [each for each in contents.values() if each.keys() != {"check"}], "nobody else learns how many rows"
        with releases.opened(bundle, keys.bundle_key) as connection:
            tables = connection.sql("select table_name from duckdb_tables() order by all").fetchall()
            assert [name for (name,) in tables] == sorted(contents) == sorted([METRIC_CATALOG, *rows])
            for mart, of_tenant in rows.items():
                found = connection.sql(f"select * from {mart} order by all").fetchall()
                assert found == of_tenant.pop(keys.tenant_key, [])
                assert counted[mart] == len(found)
            assert connection.sql(BUNDLED).fetchall() == metrics
    assert not any(rows.values())


def test_the_key_that_is_handed_over_opens_it(workspace: Workspace) -> None:
    handed = worlds.quorum(workspace, "keys", "--tenant", "acme-001", "--json")
    found = json.loads(handed.stdout)
    with releases.opened(Path(found["bundle"]), base64.b64decode(found["bundle_key"])) as connection:
        assert connection.sql("select distinct tenant_key from mart_tenant_daily").fetchall() == [
            (found["tenant_key"],)
        ]


def test_no_key_of_another_tenant_opens_it(bundles: Mapping[Path, TenantKeys]) -> None:
    """Of twenty tenants, each of the 380 wrong keys: neither the file nor what is sealed in the page beside it."""
    of_twenty = list(bundles.items())[:20]
    refused = 0
    with duckdb.connect() as connection:
        load_encryption(connection)
        for bundle, own in of_twenty:
            seal = sealed(bundle.with_name(publish.PAGE).read_bytes())
            for _, keys in of_twenty:
                key = base64.b64encode(keys.bundle_key).decode()
                statement = f"attach '{bundle}' as bundle (read_only, encryption_key '{key}')"
                if keys is own:
                    connection.execute(statement)
                    connection.execute("detach bundle")
                    assert sealing.opened(seal, key)
                    continue
                with pytest.raises(duckdb.InvalidInputException, match="Wrong encryption key"):
                    connection.execute(statement)
                with pytest.raises(InvalidTag):
                    sealing.opened(seal, key)
                refused += 1
    assert refused == 380


def test_nothing_else_opens_it(bundles: Mapping[Path, TenantKeys]) -> None:
    bundle, own = next(iter(bundles.items()))
    for key in (own.pseudonym_key, bytes(32)):
        with pytest.raises(duckdb.Error), releases.opened(bundle, key):
            pass
    with pytest.raises(duckdb.Error), duckdb.connect(bundle, read_only=True):
        pass


def test_its_bytes_say_nothing(bundles: Mapping[Path, TenantKeys], tmp_path: Path) -> None:
    for bundle, keys in list(bundles.items())[:5]:
        plain = tmp_path / bundle.parent.name
        with releases.opened(bundle, keys.bundle_key) as connection:
            connection.execute(f"attach '{plain}' as plain")
            connection.execute("copy from database bundle to plain")
            connection.execute("detach plain")
        words = [b"mart_tenant_daily", b"weekly_active_users", b"Distinct persons", keys.tenant_key.encode()]
        assert all(word in plain.read_bytes() for word in words), "they can be found where nothing is encrypted"
        words += [keys.bundle_key, base64.b64encode(keys.bundle_key)]
        assert not [word for word in words if word in bundle.read_bytes()]
