"""What an administrator does once on the server of the mirror, and the look whether it was done.

Row-level security hides rows. It does not hide that PostgreSQL tells everybody how large each table is, how many rows
were written to it and how far the log has grown: those are functions that PUBLIC may call, and only a superuser can
take them away, in one database. In each other one of the server they tell of this one too, so nobody who reads the
mirror may enter another. The mirror itself is no superuser and may make no roles, but for those of tenants, by a
function that makes nothing else.
"""

from quorum import postgres
from quorum.errors import Refused
from quorum.postgres import Connection

OLDEST = 15  # views that act with the rights of who reads them came with it
MIRROR, READER, BENCHMARKS = "quorum_mirror", "quorum_reader", "quorum_benchmarks"

# functions that tell everybody about tables which they may not read, or about all that is written
_TELLING = r"""pronamespace = 'pg_catalog'::regnamespace and (proname like 'pg\_stat\_%' or proname in (
        'pg_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_total_relation_size', 'pg_database_size',
        'pg_tablespace_size', 'pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids',
        'pg_current_wal_lsn', 'pg_current_wal_insert_lsn', 'pg_current_wal_flush_lsn', 'pg_logical_emit_message',
        'pg_get_replication_slots', 'pg_control_checkpoint', 'pg_control_recovery', 'pg_notification_queue_usage',
        'pg_prepared_xact'))"""

SETUP = rf"""-- By a superuser, in the UTF8 database that is for the mirror alone;
-- again after an upgrade to another major version, and after a database was added to the server.
-- It takes CONNECT from PUBLIC on EVERY database of the server: from another one, each would tell its reader
-- how much is written to this one. Whoever has business in another database needs a grant of their own there
-- (grant connect on database ... to ...), and who reads the mirror must have none.
begin;
do $setup$
declare
    wanted text;
    telling regprocedure;
    other name;
begin
    foreach wanted in array array['{MIRROR} login', '{READER}', '{BENCHMARKS}'] loop
        if not exists (select from pg_roles where rolname = split_part(wanted, ' ', 1)) then
            execute 'create role ' || wanted;
        end if;
    end loop;
    grant {READER} to {BENCHMARKS};
    execute format('revoke all on database %I from public', current_database());
    execute format('grant connect on database %I to {READER}', current_database());
    execute format('grant connect, create on database %I to {MIRROR}', current_database());
    for other in select datname from pg_database where datallowconn loop
        execute format('revoke connect on database %I from public', other);
    end loop;
    revoke all on schema public from public;
    for telling in select oid from pg_proc where {_TELLING} loop
        execute format('revoke execute on function %s from public', telling);
        execute format('grant execute on function %s to pg_monitor', telling);
    end loop;
end
$setup$;
create schema if not exists quorum_roles;
create or replace function quorum_roles.make(tenant_key text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $make$
begin
    if tenant_key is null or tenant_key !~ '^[0-9a-f]{{32}}$' then
        raise exception 'no tenant key';
    end if;
    if not exists (select from pg_roles where rolname = 'quorum_t_' || tenant_key) then
        execute format('create role %I nologin', 'quorum_t_' || tenant_key);
    end if;
    execute format('grant {READER} to %I', 'quorum_t_' || tenant_key);
end
$make$;
create or replace function quorum_roles.remove(tenant_key text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $remove$
begin
    if tenant_key is null or tenant_key !~ '^[0-9a-f]{{32}}$' then
        raise exception 'no tenant key';
    end if;
    execute format('drop role if exists %I', 'quorum_t_' || tenant_key);
exception when dependent_objects_still_exist then
    null;  -- it is used in another database of this server
end
$remove$;
revoke all on all functions in schema quorum_roles from public;
grant usage on schema quorum_roles to {MIRROR};
grant execute on all functions in schema quorum_roles to {MIRROR};
commit;
"""

_AGAIN = "let an administrator run what `quorum mirror --setup` prints"
_SERVER = "select current_setting('server_version_num')::int / 10000, current_setting('server_encoding')"
_ROLE = (
    "select rolsuper or rolbypassrls or rolcreaterole, pg_has_role(oid, 'pg_monitor', 'member') "
    "from pg_roles where rolname = current_user"
)
_OPEN = (
    "select count(*) from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) as granted "
    f"where granted.grantee = 0 and {_TELLING}"
)
_PUBLIC = (
    "select count(*) from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) as granted "
    "where granted.grantee = 0 and datname = current_database()"
)
# Who of those that read the mirror may enter which other database, by whatever way: first whoever lets others in.
# A database that lets nobody in, as template0 does, has nobody to tell.
_ELSEWHERE = f"""
    with readers (name, rank) as (
        select 'public', 0 union all
        select members.rolname, case when members.oid = groups.oid then 1 when members.rolcanlogin then 3 else 2 end
        from pg_roles as members join pg_roles as groups on groups.rolname = '{READER}'
        where not members.rolsuper and pg_has_role(members.oid, groups.oid, 'member')
    )
    select name, datname from readers, pg_database
    where datallowconn and datname <> current_database() and has_database_privilege(name, pg_database.oid, 'connect')
    order by rank, name, datname limit 1
"""
_ROLES = "select to_regprocedure('quorum_roles.make(text)') is not null"


def check(connection: Connection) -> None:
    """Raise Refused where the server is not as it has to be before rows of more than one tenant lie in its database."""
    [(version, encoding)] = postgres.rows(connection, _SERVER)
    if version < OLDEST:
        raise Refused(f"the mirror's server is PostgreSQL {version}: it takes {OLDEST} or newer")
    if encoding != "UTF8":
        raise Refused(f"the mirror's database is encoded in {encoding}: make one in UTF8")
    [(mighty, sees_all)] = postgres.rows(connection, _ROLE)
    if mighty or sees_all:
        raise Refused(f"the mirror's role may do far more than it has to: connect as {MIRROR}")
    [(made,)] = postgres.rows(connection, _ROLES)
    [(public,)] = postgres.rows(connection, _PUBLIC)
    [(telling,)] = postgres.rows(connection, _OPEN)
    if not made:
        raise Refused(f"the mirror's database is not set up: {_AGAIN}")
    if public:
        raise Refused(f"PUBLIC has rights in the mirror's database: {_AGAIN}")
    if telling:
        raise Refused(f"PUBLIC may call {telling} functions that tell how large each tenant's tables are: {_AGAIN}")
    for name, database in postgres.rows(connection, _ELSEWHERE):
        if name == "public":
            raise Refused(f"PUBLIC may enter the database {database}, which tells how much is written here: {_AGAIN}")
        raise Refused(
            f"{name} reads the mirror and may enter the database {database}, which tells how much is written here: "
            "take away that right, or the membership or ownership that it comes from"
        )
