"""What somebody who may connect can ask a server about relations that are not theirs, and what they are told."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

# Each names the relation once; {key} is the tenant whose rows are looked for.
STATEMENTS = (
    "select * from {relation}",
    "select count(*) from {relation}",
    "select ctid, xmin, tableoid from {relation}",
    "copy {relation} to stdout",
    "copy (select * from {relation}) to stdout",
    "explain select * from {relation}",
    "explain (analyze, timing off, summary off) select * from {relation}",
    "explain (analyze, timing off, summary off) select * from {relation} where tenant_key = {key}",
    "begin; declare probe cursor for select * from {relation}; fetch all from probe; commit",
    "prepare probe as select * from {relation}; execute probe",
    "create temp view probe as select * from {relation}; select * from probe; drop view probe",
    "select query_to_xml('select * from ' || {text}, true, false, '')",
    "select table_to_xml({text}, true, false, '')",
    "select 1 / (tenant_key <> {key})::int from {relation}",
    "select cast(tenant_key as int) from {relation} where tenant_key = {key}",
    "select pg_temp.tell(tenant_key::text) from {relation}",
    "select * from {relation} where pg_temp.tell(tenant_key::text)",
    "table {relation}",
    "set row_security = off; select * from {relation}",
    "begin; lock {relation} in access share mode; commit",
    "insert into {relation} select * from {relation}",
    "delete from {relation}",
    "truncate {relation}",
    "analyze {relation}; select * from pg_stats where schemaname || '.' || tablename = {text}",
    "alter table {relation} disable row level security",
    "grant select on {relation} to public",
)
# cheap enough to be asked before anything else, if the planner had the choice
TELL = (
    "create or replace function pg_temp.tell(said text) returns boolean language plpgsql cost 0.0000001 as "
    "$$ begin raise notice 'told: %', said; return true; end $$"
)


def ask(connection: Connection, statement: str, schema: str, relation: str, key: str) -> str:
    """Return all that is said: rows, notices, or the error with its details."""
    told: list[str] = []
    connection.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
    query = sql.SQL(statement).format(
        relation=sql.Identifier(schema, relation), key=sql.Literal(key), text=sql.Literal(f"{schema}.{relation}")
    )
    try:
        with connection.cursor() as cursor:
            if statement.startswith("copy"):
                with cursor.copy(query) as copy:
                    told += [bytes(data).decode() for data in copy]
            else:
                cursor.execute(query)
                told += list(_results(cursor))
    except psycopg.Error as error:
        said = error.diag
        told += [str(each) for each in (said.message_primary, said.message_detail, said.message_hint, said.context)]
    finally:
        connection._notice_handlers.clear()
        connection.rollback()
        for each in ("deallocate all", "close all", "reset all"):
            connection.execute(each)
    return "\n".join(told)


def _results(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Iterator[str]:
    while True:
        if cursor.description is not None:
            yield from (repr(row) for row in cursor.fetchall())
        if not cursor.nextset():
            return


def relations(connection: Connection) -> list[tuple[str, str]]:
    """Return every relation that the catalog lists beside the server's own, whosever it is."""
    return [
        (schema, name)
        for schema, name in connection.execute(
            "select nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
            "where relkind in ('r', 'v', 'm', 'p', 'f', 'S') and nspname not in ('pg_catalog', 'information_schema') "
            "and nspname !~ '^pg_(toast|temp)' order by 1, 2"
        ).fetchall()
    ]


# what names or counts objects and moments, of whatever kind they are
_UNTELLING = ("oid", "xid", "cid", "tid", "pg_lsn", "pg_node_tree", "timestamp with time zone", "aclitem[]")


def catalogs(connection: Connection) -> dict[str, str]:
    """Return what each relation of the server's own catalogs says to somebody, as one text; errors too."""
    found: dict[str, str] = {}
    names = connection.execute(
        "select oid::regclass::text, array(select attname::text from pg_attribute where attrelid = pg_class.oid "
        "and attnum > 0 and not attisdropped and format_type(atttypid, null) <> all(%s) order by attnum) "
        "from pg_class where relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
        "and relkind in ('r', 'v') and relname <> 'element_types' order by 1",  # five seconds, of types alone
        [list(_UNTELLING)],
    ).fetchall()
    for name, columns in names:
        query = f"select {', '.join(f'{column}::text' for column in columns)} from {name}"
        try:
            told = sorted(repr(row) for row in connection.execute(query.encode()).fetchall())
        except psycopg.Error as error:
            told = [str(error)]
        found[name] = _without_numbers("\n".join(told))
    return found


def functions(connection: Connection, schema: str, relation: str) -> dict[str, str]:
    """Return what each function says about a relation that takes one, and that somebody may call."""
    found: dict[str, str] = {}
    [(number,)] = connection.execute(  # by its name it could not be found: that takes a right on its schema
        "select pg_class.oid::text from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
        "where nspname = %s and relname = %s",
        [schema, relation],
    ).fetchall()
    names = connection.execute(
        "select oid::regprocedure::text, proname, proargtypes[0]::regtype::text, pronargs, prorettype::regtype::text "
        "from pg_proc where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and not proretset "
        "and proargtypes[0] in ('oid'::regtype, 'regclass'::regtype) "
        "and (pronargs = 1 or proargtypes::text like '%% 25' and pronargs = 2) order by 1"
    ).fetchall()
    for signature, name, kind, arguments, returns in names:
        if returns in ("oid", "regclass", "xid", "bytea", "internal", "trigger", "void"):  # the number itself, or none
            continue
        more = ", 'main'" if arguments == 2 else ""
        query = f"select {name}({number}::{kind}{more})::text"
        try:
            [(told,)] = connection.execute(query.encode()).fetchall()
        except psycopg.Error as error:
            told = error.diag.message_primary
        found[signature] = _without_numbers(str(told))
    return found


def _without_numbers(text: str) -> str:
    """Leave out the numbers of releases and of objects, which a new release has anew."""
    return re.sub(r"quorum_r_[0-9a-f]{16}|Release [0-9a-f]{16}|pg_toast_\d+|base/\d+/\d+|[-_]?\d{5,}_?", "#", text)
