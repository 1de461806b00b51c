"""What a tenant added to an answer by itself, kept so that the tenant can be shown the answer without it.

A share is the vector of ``models/release/dp_*.sql`` of one contributor: made of that tenant's own rows and of public
settings, and so kept in the tenant plane. It is written before any budget is reserved, under a random id that the
answer then carries: what a killed run left belongs to no answer, and late rows change neither of the two. It goes when
its answer is shown no longer, and as soon as a row that it is made of is forgotten.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from quorum import warehouse
from quorum.measurement import places
from quorum.policy import ATOM
from quorum.workspace import Workspace

if TYPE_CHECKING:
    from quorum.release import Due

SHARES = pa.schema(
    [
        ("measurement_id", pa.string()),
        ("tenant_key", pa.string()),
        ("segment", pa.string()),
        ("first_day", pa.date32()),
        ("end_day", pa.date32()),
        ("cohorts", pa.list_(pa.struct([("level", pa.string()), ("key", pa.string())]))),
        ("vector", pa.list_(pa.int64())),
    ]
)

# Who shares an owner group is weighed together with the group's other tenants: its weight would tell of their users.
# That an unlisted tenant exists is data, and so would be that it has a row.
ALONE = """
select any_value(tenant_key) as tenant_key, any_value(cohort_key) as cohort_key, contributor_key
from cohort_tenants
where period_start = $start
group by contributor_key
having count(*) = 1 and bool_and(listing = 'listed')
order by tenant_key
"""
ADDED = """
select contributor_key, segment, metric, key, value
from (select segment, metric, key, unnest(shares, recursive := true) from dp_{release} where period_start = $start)
"""
# From narrow to wide; of two as wide the one over fewer atoms.
AROUND = """
select atom_key, cohort_level as level, cohort_key as key
from cohort_unions
where period_start = $start and list_contains($levels, cohort_level)
order by
    atom_key,
    cast(cohort_industry = '*' as integer) + cast(cohort_region = '*' as integer)
    + cast(cohort_size_band = '*' as integer),
    count(*) over (partition by cohort_level, cohort_key),
    cohort_level,
    cohort_key
"""
TOUCHED = """
delete from benchmark_shares as shares using forgotten
where shares.tenant_key = forgotten.tenant_key
    and shares.first_day <= forgotten.last_day
    and shares.end_day > forgotten.first_day
"""


@dataclass(frozen=True)
class Share:
    """One tenant's vector in one segment, in units of the answer's layout, and the cohorts around it, narrow first."""

    tenant_key: str
    segment: str | None
    cohorts: tuple[tuple[str, str], ...]  # level and key
    vector: tuple[int, ...]

    @property
    def atom(self) -> str:
        """The key of the atom that the tenant is in."""
        return next(key for level, key in self.cohorts if level == ATOM)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the relation in the tenant plane."""
    connection.register("incoming", SHARES.empty_table())
    connection.execute("create table if not exists benchmark_shares as from incoming")
    connection.unregister("incoming")


def keep(workspace: Workspace, due: Sequence["Due"]) -> list[str]:
    """Keep the shares of what is due; return the random id of each measurement."""
    ids = [secrets.token_hex(16) for _ in due]
    with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
        rows = [
            row | {"measurement_id": id_} for id_, each in zip(ids, due, strict=True) for row in _of(connection, each)
        ]
    with warehouse.opened(workspace, "tenant") as connection:
        connection.register("incoming", pa.Table.from_pylist(rows, SHARES))
        connection.execute("insert into benchmark_shares from incoming")
        connection.unregister("incoming")
    return ids


def read(connection: duckdb.DuckDBPyConnection, measurement_id: str) -> list[Share]:
    """Return the shares of one measurement, in order."""
    found = warehouse.rows(
        connection,
        "select tenant_key, segment, cohorts, vector from benchmark_shares where measurement_id = ? order by all",
        [measurement_id],
    )
    return [
        Share(
            row["tenant_key"],
            row["segment"],
            tuple((cohort["level"], cohort["key"]) for cohort in row["cohorts"]),
            tuple(row["vector"]),
        )
        for row in found
    ]


def drop_others(connection: duckdb.DuckDBPyConnection, shown: Collection[str]) -> None:
    """Drop the shares of all measurements but these; the caller holds the transaction."""
    connection.execute("delete from benchmark_shares where not list_contains(?, measurement_id)", [list(shown)])


def forget(connection: duckdb.DuckDBPyConnection, forgotten: pa.Table) -> None:
    """Drop what is made of forgotten rows (tenant_key, first_day, last_day); the caller holds the transaction."""
    connection.register("forgotten", forgotten)
    connection.execute(TOUCHED)
    connection.unregister("forgotten")


def _of(connection: duckdb.DuckDBPyConnection, due: "Due") -> list[dict[str, Any]]:
    place = places(due.layout)
    start = {"start": due.start}
    vectors: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0] * len(place))
    for row in warehouse.rows(connection, ADDED.format(release=due.spec.source), start):
        vectors[row["contributor_key"], row["segment"]][place[row["metric"], row["key"]]] = row["value"]
    around: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in warehouse.rows(connection, AROUND, start | {"levels": [ATOM, *due.spec.levels]}):
        around[row["atom_key"]].append({"level": row["level"], "key": row["key"]})
    return [
        {
            "tenant_key": tenant["tenant_key"],
            "segment": segment,
            "first_day": due.lookback_start,
            "end_day": due.end,
            "cohorts": around[tenant["cohort_key"]],
            "vector": vectors[tenant["contributor_key"], segment],
        }
        for tenant in warehouse.rows(connection, ALONE, start)
        for segment in due.spec.segments or (None,)
    ]
