"""Raw rows that wait to be judged, and the batch that is judged now: relations of the restricted plane.

Every row that was read stands in ``landing_rows`` until a batch has accounted for it, in the order in which it
came. A batch is a bounded share of it, so a night over ten times the usual volume needs no more memory. What a
quota defers keeps its place. ``landing_batch`` names the batch in work until it is committed, and ``landing_work``
shows its rows: a run that was killed goes on with the very same ones.
"""

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from quorum import warehouse
from quorum.raw_rows import ROWS

BATCH_BYTES = 1 << 30

SCHEMA = """
create table if not exists landing_rows (
    batch bigint not null,
    position bigint not null,
    landing_file varchar not null,
    landing_row bigint not null,
    source_format varchar not null,
    folder_tenant varchar,
    is_again boolean not null,
    -- read once and thrown away: not worth the time of compressing it
    line varchar using compression uncompressed,
    defect varchar
);
create table if not exists landing_batch (
    batch_id bigint not null,
    first_batch bigint not null,
    last_batch bigint not null
);
create view if not exists landing_work as select * from landing_rows where false;
create table if not exists landing_counters (
    next_position bigint not null,
    next_batch bigint not null,
    next_id bigint not null
);
insert into landing_counters select 1, 1, 1 where not exists (from landing_counters);
"""

INCOMING = pa.schema([("batch", pa.int64()), ("position", pa.int64()), *ROWS])
APPEND = """
insert into landing_rows
select batch, position, $landing_file, landing_row, $source_format, $folder_tenant, $is_again, line, defect
from incoming
"""
# A run over rows that were accounted for long ago: those that wait already keep their place, and so does what is
# not to be read any more.
APPEND_AGAIN = f"""
{APPEND}
where landing_row not in (
    select landing_row from landing_rows where landing_file = $landing_file
    union all
    select landing_row from landing_erased where landing_file = $landing_file
)
"""
# The same content once more after it was written over: what was erased of it stays so.
APPEND_RETURNED = """
insert into landing_rows
select
    batch,
    position,
    $landing_file,
    landing_row,
    $source_format,
    $folder_tenant,
    $is_again,
    case when erased.reason is null then line end,
    coalesce(erased.reason, defect)
from incoming
left join landing_erased as erased on erased.landing_file = $landing_file and erased.landing_row = incoming.landing_row
"""

# Rows whose tenant the registry knows by now, and rows that were ahead of a clock that moved on. A row that is in
# the queue stands in quarantine only because a batch was killed before it was committed.
CURABLE = """
select
    quarantine.landing_file,
    quarantine.landing_row,
    files.source_format,
    files.folder_tenant,
    quarantine.payload as line
from int_quarantine as quarantine
inner join landing_files as files on files.landing_file = quarantine.landing_file and files.state = 'read'
cross join run_control
where (
    quarantine.reason = 'unknown_tenant'
    and exists (from registry_tenants as listed where listed.tenant_id in (quarantine.tenant_id, '*'))
    and quarantine.tenant_id <> '*'
    or quarantine.reason = 'future_timestamp'
    and quarantine.occurred_at <= run_control.as_of + interval 2 day
    and coalesce(quarantine.occurred_at <= quarantine.received_at + interval 1 day, true)
)
and not exists (
    from landing_rows as waiting
    where waiting.landing_file = quarantine.landing_file and waiting.landing_row = quarantine.landing_row
)
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the relations of the queue."""
    connection.execute(SCHEMA)


class Writer:
    """Appends rows and cuts them into batches of about ``batch_rows`` rows, or a GiB of text.

    The caller holds the transaction, and ends it after ``save``.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, batch_rows: int) -> None:
        self._connection = connection
        self._batch_rows = batch_rows
        self._rows = self._bytes = 0
        self.rewind()

    def rewind(self) -> None:
        """Go back to what was saved last: the caller has rolled its transaction back."""
        query = "select next_position, next_batch from landing_counters"
        [(self._position, self._batch)] = self._connection.execute(query).fetchall()

    def write(
        self, tables: Iterator[pa.Table], *, is_again: bool = False, returns: bool = False, **constants: str | None
    ) -> tuple[int, int]:
        """Append the rows (landing_row, line, defect) of one landing_file, source_format and folder_tenant.

        Rows are read ``again`` while they are accounted for; a content ``returns`` after it was written over.

        Returns how many there were and the number of the last. Raises whatever reading them raises.
        """
        self._read = self._last_row = 0
        self._failure: Exception | None = None
        incoming = pa.RecordBatchReader.from_batches(INCOMING, self._placed(tables))
        self._connection.register("incoming", incoming)
        append = APPEND_AGAIN if is_again else APPEND_RETURNED if returns else APPEND
        self._connection.execute(append, {"is_again": is_again, **constants})
        self._connection.unregister("incoming")
        if self._failure:
            raise self._failure
        return self._read, self._last_row

    def _placed(self, tables: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
        """Yield the rows with their batch and position, in one stream: that is how DuckDB writes fastest."""
        try:
            for rows in tables:
                if self._rows >= self._batch_rows or self._bytes >= BATCH_BYTES:
                    self._batch += 1
                    self._rows = self._bytes = 0
                batch = pa.repeat(pa.scalar(self._batch), rows.num_rows)
                positions = pa.array(range(self._position, self._position + rows.num_rows), pa.int64())
                yield from pa.table([batch, positions, *rows.columns], schema=INCOMING).to_batches()
                self._position += rows.num_rows
                self._rows += rows.num_rows
                self._bytes += rows.nbytes
                self._read += rows.num_rows
                self._last_row = rows["landing_row"][-1].as_py() if rows.num_rows else self._last_row
        except Exception as failure:  # DuckDB would wrap it into an error of its own
            self._failure = failure

    def save(self) -> None:
        """Write down where the next row goes: into the same batch, while this writer lives."""
        self._connection.execute(
            "update landing_counters set next_position = ?, next_batch = ?", [self._position, self._batch]
        )

    def close(self) -> None:
        """Close the last batch: what is in work later gets no more rows."""
        self._connection.execute("update landing_counters set next_batch = next_batch + 1")


def requeue_curable(connection: duckdb.DuckDBPyConnection) -> int:
    """Take quarantined rows whose reason may have passed back into the queue; return how many."""
    if not warehouse.has(connection, "int_quarantine"):
        return 0
    connection.begin()
    connection.execute(f"create or replace temp table curable as {CURABLE}")
    connection.execute(
        "insert into landing_rows select next_batch, next_position + row_number() over () - 1, landing_file, "
        "landing_row, source_format, folder_tenant, false, line, null from curable, landing_counters"
    )
    [(count,)] = connection.execute("select count(*) from curable").fetchall()
    connection.execute(
        "update landing_counters set next_position = next_position + ?, next_batch = next_batch + ?",
        [count, int(count > 0)],
    )
    connection.execute(
        "delete from int_quarantine using curable "
        "where int_quarantine.landing_file = curable.landing_file and int_quarantine.landing_row = curable.landing_row"
    )
    connection.commit()
    return int(count)


def next_batch(connection: duckdb.DuckDBPyConnection, after: int, batch_rows: int) -> int | None:
    """Put the batches after ``after`` into work, as many as fit; return the last of them, or None.

    A batch that a killed run left in work comes first, whatever ``after`` says.
    """
    left = connection.execute("select last_batch from landing_batch").fetchone()
    if left:
        return int(left[0])
    waiting = connection.execute(
        "select batch, sum(count(*)) over (order by batch) as total from landing_rows where batch > ? "
        "group by batch order by batch",
        [after],
    ).fetchall()
    chosen = [batch for batch, total in waiting if total <= batch_rows] or [batch for batch, _ in waiting[:1]]
    if not chosen:
        return None
    first, last = int(chosen[0]), int(chosen[-1])
    connection.begin()
    connection.execute("insert into landing_batch select next_id, ?, ? from landing_counters", [first, last])
    connection.execute("update landing_counters set next_id = next_id + 1")
    # numbers in the text let DuckDB skip what is not of the batch
    connection.execute(
        f"create or replace view landing_work as select * from landing_rows where batch between {first} and {last}"
    )
    connection.commit()
    return last


def commit(connection: duckdb.DuckDBPyConnection) -> None:
    """End the batch in work: its rows are accounted for; those that a quota deferred stay where they are."""
    connection.begin()
    connection.execute(
        "delete from landing_rows using landing_batch where batch between first_batch and last_batch and not exists ("
        "from int_deferred where int_deferred.landing_file = landing_rows.landing_file "
        "and int_deferred.landing_row = landing_rows.landing_row)"
    )
    connection.execute("delete from landing_batch")
    connection.execute("create or replace view landing_work as select * from landing_rows where false")
    connection.execute("update landing_files set state = 'gone' where state = 'replaced'")
    connection.commit()


def renew(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the queue's table anew as the schema has it: a copy of a database forgets how columns were to be stored."""
    connection.begin()
    connection.execute("alter table landing_rows rename to landing_rows_copied")
    connection.execute(SCHEMA)
    connection.execute("insert into landing_rows select * from landing_rows_copied")
    connection.execute("drop table landing_rows_copied")
    connection.commit()


def is_settled(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether nothing waits but what a quota has deferred, and nothing that was written anew has still to go."""
    if not warehouse.has(connection, "int_deferred"):
        return False
    waiting = connection.execute(
        "select 1 from landing_batch union all select 1 from landing_files where state = 'replaced' "
        "union all select 1 from landing_rows where not exists (from int_deferred "
        "where int_deferred.landing_file = landing_rows.landing_file "
        "and int_deferred.landing_row = landing_rows.landing_row)"
    )
    return waiting.fetchone() is None


def rows_in_work(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many rows the batch in work has."""
    [(count,)] = connection.execute("select count(*) from landing_work").fetchall()
    return int(count)


def settle(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget which events changed: everything downstream has followed."""
    connection.execute("delete from int_event_changes")
