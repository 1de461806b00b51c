"""The look before readers get a release, and at each later mirroring: the catalog is what the access policy says.

Everything that could show a row is compared with what the layout asks for, and what is there beyond it is refused too:
rights of anybody but the mirror, row-level security and its policies, what views show and with whose rights, what roles
are members of, and functions or relations that somebody else put into the mirror's schemas.
"""

from collections.abc import Iterator

from quorum import mirror_grants, postgres
from quorum.errors import Refused
from quorum.mirror_layout import OURS, RELEASE_PREFIX, STATE, TENANT_PREFIX, Layout
from quorum.mirror_setup import BENCHMARKS, MIRROR, READER
from quorum.postgres import Connection

_RELATIONS = f"""
    select nspname, relname, relkind::text, pg_get_userbyid(relowner) = current_user,
        relrowsecurity and relforcerowsecurity, coalesce(reloptions, '{{}}')
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace where {OURS} and relkind not in ('i', 't', 'I')
"""
_POLICIES = f"""
    select nspname, relname, polcmd = 'r' and polpermissive and polwithcheck is null,
        array(select rolname::text from pg_roles where pg_roles.oid = any(polroles)), cardinality(polroles),
        pg_get_expr(polqual, polrelid)
    from pg_policy join pg_class on pg_class.oid = polrelid join pg_namespace on pg_namespace.oid = relnamespace
    where {OURS}
"""
_SHOWN = f"""
    select pg_namespace.nspname, shown.relname, spaces.nspname, tables.relname
    from pg_class as shown join pg_namespace on pg_namespace.oid = shown.relnamespace
        join pg_rewrite on ev_class = shown.oid
        join pg_depend on classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid
            and refclassid = 'pg_class'::regclass and refobjid <> shown.oid
        join pg_class as tables on tables.oid = refobjid
        join pg_namespace as spaces on spaces.oid = tables.relnamespace
    where pg_namespace.{OURS} group by 1, 2, 3, 4
"""
_READERS = f"rolname ~ '^({READER}|{BENCHMARKS}|{TENANT_PREFIX}[0-9a-f]+)$'"
_MEMBERS = f"""
    select members.rolname from pg_auth_members join pg_roles as members on members.oid = member
        join pg_roles as groups on groups.oid = roleid
    where members.{_READERS} and (groups.rolname <> '{READER}' or members.rolname = '{READER}' or admin_option)
"""
_MIGHTY = (
    f"select rolname from pg_roles where {_READERS} and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb)"
)
_FUNCTIONS = f"select proname from pg_proc join pg_namespace on pg_namespace.oid = pronamespace where {OURS}"
_DEFAULTS = "select count(*) from pg_default_acl where pg_get_userbyid(defaclrole) = current_user"


def faults(connection: Connection, layout: Layout) -> Iterator[str]:
    """Yield what is not as it has to be, by name and without a value."""
    for grant in sorted(mirror_grants.found(connection) ^ mirror_grants.wanted(layout)):
        yield f"the right of {grant.role} to {grant.right} {grant.schema}.{grant.relation}".rstrip(".")
    yield from _relations(connection, layout)
    yield from _policies(connection, layout)
    yield from _views(connection, layout)
    for query, fault in (
        (_MEMBERS, "what the role {} is a member of"),
        (_MIGHTY, "what the role {} may do"),
        (_FUNCTIONS, "the function {}"),
    ):
        yield from (fault.format(name) for (name,) in postgres.rows(connection, query))
    if postgres.rows(connection, _DEFAULTS) != [(0,)]:
        yield f"the default privileges of {MIRROR}"


def check(connection: Connection, layout: Layout) -> None:
    """Raise Refused where anything is not as it has to be."""
    found = list(faults(connection, layout))
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise Refused(f"the mirror is not as the access policy has it: look at {found[0]}{more}")


def _relations(connection: Connection, layout: Layout) -> Iterator[str]:
    tables = {(place.tables, name) for place in layout.places for name in place.relations}
    views = {(place.views, name) for place in layout.places for name in place.seen}
    for schema, name, kind, ours, protected, options in postgres.rows(connection, _RELATIONS):
        relation = f"{schema}.{name}"
        if not ours:
            yield f"the owner of {relation}"
        elif schema.startswith(RELEASE_PREFIX):
            if kind != "r" or not protected:
                yield f"row-level security of {relation}"
            former = not schema.startswith(f"{RELEASE_PREFIX}{layout.release}")
            if not former and (schema, name) not in tables:
                yield f"the relation {relation}, which nobody asked for"
            tables.discard((schema, name))
        elif schema != STATE:
            if kind != "v" or (schema, name) not in views:
                yield f"the relation {relation}, which nobody asked for"
            if not {"security_invoker=true", "security_barrier=true"} <= set(options):
                yield f"with whose rights {relation} reads"
            views.discard((schema, name))
    yield from (f"the relation {schema}.{name}, which is missing" for schema, name in sorted(tables | views))


def _policies(connection: Connection, layout: Layout) -> Iterator[str]:
    places = {place.tables: place for place in layout.places}
    seen: set[tuple[str, str]] = set()
    for schema, name, reads, roles, number, condition in postgres.rows(connection, _POLICIES):
        place = places.get(schema)
        if place is None:
            continue  # of a former release, which nobody has a right to
        own = {"true", f"(tenant_key = '{place.tenant_key}'::text)"} if place.tenant_key else {"true"}
        if not reads or roles != [place.role] or number != 1 or condition not in own or (schema, name) in seen:
            yield f"the policies of {schema}.{name}"
        seen.add((schema, name))
    for place in layout.places:
        yield from (
            f"the policies of {place.tables}.{name}" for name in place.relations if (place.tables, name) not in seen
        )


def _views(connection: Connection, layout: Layout) -> Iterator[str]:
    shown = {tuple(row) for row in postgres.rows(connection, _SHOWN)}
    wanted = {(place.views, name, place.tables, name) for place in layout.places for name in place.seen}
    yield from (f"what {row[0]}.{row[1]} shows" for row in sorted(shown ^ wanted))
