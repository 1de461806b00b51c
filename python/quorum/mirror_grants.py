"""Grants: what the layout asks for, what the catalog has, and the statements between the two."""

from typing import NamedTuple

from psycopg import sql

from quorum import postgres
from quorum.mirror_layout import OURS, Layout
from quorum.postgres import Connection, statement


class Grant(NamedTuple):
    """One right of one role; a right on a schema has no relation."""

    schema: str
    relation: str
    role: str
    right: str


PUBLIC = "public"  # no role can have that name
_FOUND = f"""
    with granted as (
        select nspname, '' as relation, nspowner as owner, acl.*
        from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as acl
        union all
        select nspname, relname, relowner, acl.*
        from pg_class join pg_namespace on pg_namespace.oid = relnamespace,
            aclexplode(coalesce(relacl, acldefault('r', relowner))) as acl
        union all
        select nspname, relname, relowner, acl.*
        from pg_attribute join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace,
            aclexplode(attacl) as acl
    )
    select nspname, relation, coalesce(rolname, '{PUBLIC}'),
        lower(privilege_type) || case when is_grantable then ' with grant option' else '' end
    from granted left join pg_roles on pg_roles.oid = grantee
    where grantee <> owner and {OURS}
"""


def wanted(layout: Layout) -> set[Grant]:
    """Return all rights that anybody but the mirror itself is to have."""
    found = set()
    for place in layout.places:
        for schema in (place.views, place.tables) if place.seen else ():
            found.add(Grant(schema, "", place.role, "usage"))
            found |= {Grant(schema, relation, place.role, "select") for relation in place.seen}
    return found


def found(connection: Connection) -> set[Grant]:
    """Return all rights that anybody but its owner has on what is the mirror's."""
    return {Grant(*row) for row in postgres.rows(connection, _FOUND)}


def settle(connection: Connection, layout: Layout) -> None:
    """Take away what the layout does not ask for, and grant what is missing."""
    there, right = found(connection), wanted(layout)
    surplus = {grant[:3] for grant in there - right}
    kept = {grant for grant in there if grant[:3] not in surplus}
    statements = [_statement("revoke all on {kind} from {role}", Grant(*of, "")) for of in sorted(surplus)]
    statements += [_statement(f"grant {grant.right} on {{kind}} to {{role}}", grant) for grant in sorted(right - kept)]
    postgres.run(connection, statements)


def _statement(text: str, grant: Grant) -> sql.Composed:
    kind = statement("schema {name}", name=grant.schema)
    if grant.relation:
        kind = statement("table {name}", name=(grant.schema, grant.relation))
    role = sql.SQL("public") if grant.role == PUBLIC else sql.Identifier(grant.role)
    return statement(text, kind=kind, role=role)
