"""What the mirror knows of itself, in a schema that no reader may enter."""

import json
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from quorum import postgres
from quorum.errors import Busy, Refused
from quorum.mirror_layout import OURS, RELEASE_PREFIX, STATE, Layout
from quorum.postgres import Connection

KEPT_RELEASES = 2  # the one that readers see and the one before

_MAKE = f"""
    create schema {STATE};
    create table {STATE}.deployment (ledger text not null, lock bigint not null);
    create table {STATE}.releases (release text primary key, filled boolean not null);
    create table {STATE}.swaps (
        number bigint generated always as identity primary key,
        swap text not null, release text not null, policy text not null,
        granted text[] not null, withdrawn text[] not null, relations json not null, recorded boolean not null
    );
"""


@dataclass(frozen=True)
class Swap:
    """What changed for readers at once; ``granted`` and ``withdrawn`` are tenant keys."""

    swap: str
    release: str
    policy: str
    granted: list[str]
    withdrawn: list[str]
    relations: dict[str, list[str]]


class State:
    """The releases that are there, and the swaps that were made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def held(cls, connection: Connection, ledger: str) -> Iterator["State"]:
        """Hold the mirror alone; raises Refused where it is of the workspace of another ledger.

        The lock's number is drawn and kept where readers cannot see it, for whoever knows it could hold the lock.
        """
        [(there,)] = postgres.rows(connection, f"select to_regclass('{STATE}.deployment') is not null")
        if not there:
            with connection.transaction():
                connection.execute(_MAKE.encode())
                connection.execute(
                    f"insert into {STATE}.deployment values (%s, %s)".encode(), [ledger, secrets.randbits(63)]
                )
        [(known, lock)] = postgres.rows(connection, f"select ledger, lock from {STATE}.deployment")
        if known != ledger:
            raise Refused("this database mirrors another deployment: give each a server of its own")
        [(alone,)] = postgres.rows(connection, "select pg_try_advisory_lock(%s)", [lock])
        if not alone:
            raise Busy("another run holds the mirror: wait for it to end")
        yield cls(connection)  # the lock ends with the connection

    def has(self, release: str) -> bool:
        """Tell whether a release is there as a whole."""
        query = f"select count(*) from {STATE}.releases where release = %s and filled"
        return postgres.rows(self._connection, query, [release]) == [(1,)]

    def begin(self, release: str) -> None:
        self._execute(f"insert into {STATE}.releases values (%s, false)", release)

    def end(self, release: str) -> None:
        self._execute(f"update {STATE}.releases set filled = true where release = %s", release)

    def last(self) -> Swap | None:
        """Return the swap that readers see."""
        return next(iter(self._swaps("order by number desc limit 1")), None)

    def swapped(self, layout: Layout, policy: str) -> None:
        """Write a swap down; part of the transaction that makes it."""
        before = set(self.granted())
        after = {place.tenant_key for place in layout.places if place.tenant_key and place.seen}
        self._connection.execute(
            f"insert into {STATE}.swaps (swap, release, policy, granted, withdrawn, relations, recorded) "
            "values (%s, %s, %s, %s, %s, %s::json, false)".encode(),
            [
                secrets.token_hex(8),
                layout.release,
                policy,
                sorted(after - before),
                sorted(before - after),
                json.dumps(layout.seen),
            ],
        )

    def granted(self) -> list[str]:
        """Return the tenants whose roles can read."""
        found: set[str] = set()
        for swap in self._swaps("order by number"):
            found = (found | set(swap.granted)) - set(swap.withdrawn)
        return sorted(found)

    def unrecorded(self) -> list[Swap]:
        """Return the swaps that are not in the audit log, or were not when the run ended."""
        return self._swaps("where not recorded order by number")

    def recorded(self, swap: Swap) -> None:
        self._execute(f"update {STATE}.swaps set recorded = true where swap = %s", swap.swap)

    def withdrawn(self) -> list[str]:
        """Return the tenants whose roles could read once."""
        return sorted({key for swap in self._swaps("") for key in swap.withdrawn})

    def leftovers(self, wanted: str, tenants: Collection[str]) -> dict[str, str]:
        """Forget releases that are not kept; return the schemas of all that are not, a killed run's among them.

        Each has the key of its tenant, or none.

        What readers see is kept, whoever is in it, what is wanted as far as it is whole, and the last one before,
        unless a tenant is in it that is none any more.
        """
        found = postgres.rows(self._connection, f"select nspname from pg_namespace where {OURS} order by nspname")
        schemas = [name for (name,) in found if name.startswith(RELEASE_PREFIX)]
        of = {schema: schema.removeprefix(RELEASE_PREFIX).partition("_") for schema in schemas}
        left = {release for release, _, key in of.values() if key and key not in tenants}
        query = f"select release from {STATE}.swaps group by release order by max(number) desc"
        swapped = [name for (name,) in postgres.rows(self._connection, query)][:KEPT_RELEASES]
        left -= set(swapped[:1])  # it goes when readers are on another one
        kept = [release for release in {wanted, *swapped} - left if self.has(release)]
        self._connection.execute(f"delete from {STATE}.releases where not release = any(%s)".encode(), [kept])
        return {schema: key for schema, (release, _, key) in of.items() if release not in kept}

    def _swaps(self, which: str) -> list[Swap]:
        query = f"select swap, release, policy, granted, withdrawn, relations from {STATE}.swaps {which}"
        return [Swap(*row) for row in postgres.rows(self._connection, query)]

    def _execute(self, statement: str, parameter: str) -> None:
        self._connection.execute(statement.encode(), [parameter])
