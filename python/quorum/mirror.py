"""The mirror: the published release in PostgreSQL, for readers that ask a server and not a file.

The files stay the truth. A release is filled in where nobody sees it, and then readers are moved to all of it in one
transaction, which is committed only if the catalog says what the access policy says. Whatever fails before leaves them
where they are, and the next run goes on from there.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from quorum import mirror_check, mirror_fill, mirror_grants, mirror_setup, mirror_views, postgres, settings
from quorum.access import BENCHMARKS, TENANT, Access
from quorum.audit import AuditLog
from quorum.mirror_layout import Layout, Place
from quorum.mirror_source import Files, Release, Table
from quorum.mirror_state import State
from quorum.postgres import Connection
from quorum.workspace import Workspace

Progress = Callable[[str], None]

# A swap that waits for a reader holds up all who come after it. So it gives up, lets them pass, and begins next time
# with the view that it had to wait for, while it keeps nobody else from reading.
PATIENCE_SECONDS = 60
_FIRST_PATIENCE_SECONDS, _MOST_PATIENCE_SECONDS, _PAUSE_SECONDS = 0.5, 8, 0.1


def mirror(workspace: Workspace, url: str, progress: Progress) -> dict[str, Any]:
    """Bring the mirror to the published release; one that is there already is left as it is.

    Raises QuorumError where it cannot be, with readers still on the release before.
    """
    workspace.prepare()
    with workspace.locked():
        release = Release.published(workspace)
        shipped = settings.project_directory() / "seeds" / "policy" / "access.csv"
        access = Access.of(workspace.policy, shipped)
        layout = _layout(release, access)
        with release.reading() as files, postgres.connected(url) as connection:
            mirror_setup.check(connection)
            with State.held(connection, release.privacy["ledger"]) as state:
                target = _Mirror(connection, state, files, layout, access.digest, release.privacy, progress)
                target.record(AuditLog(workspace))
                moved = target.bring()
                target.record(AuditLog(workspace))
    return {"mirrored": release.id, "moved": moved, "tenants": len(layout.tenants), "relations": layout.seen}


def _layout(release: Release, access: Access) -> Layout:
    """Lay the release out by its manifests alone."""
    benchmarks = release.relations(None)
    tenants = {bundle.tenant_key: release.relations(bundle.tenant_key) for bundle in release.bundles}
    of_tenants = {name for relations in tenants.values() for name in relations}
    access.refuse_unused({BENCHMARKS: benchmarks, TENANT: of_tenants})
    return Layout.of(release.id, benchmarks, tenants, access)


class _Mirror:
    """One mirroring of one release."""

    def __init__(
        self,
        connection: Connection,
        state: State,
        files: Files,
        layout: Layout,
        policy: str,
        privacy: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._state = state
        self._files = files
        self._layout = layout
        self._policy = policy
        self._privacy = privacy
        self._progress = progress
        self._definitions: dict[str, list[Table]] = {}  # by the schema of the tables

    def bring(self) -> bool:
        """Fill, swap and clean up, as far as each is wanting; return whether readers were moved."""
        self._sweep()
        if not self._state.has(self._layout.release):
            self._fill()
        last = self._state.last()
        there = last is not None and (last.release, last.policy) == (self._layout.release, self._policy)
        moved = not there or any(mirror_check.faults(self._connection, self._layout))
        if moved:
            self._swap()
        self._sweep()
        return moved

    def record(self, audit: AuditLog) -> None:
        """Write into the audit log who was let in and who no more; also what a killed run could not."""
        for swap in self._state.unrecorded():
            audit.mirrored(**vars(swap))
            self._state.recorded(swap)

    def _fill(self) -> None:
        self._state.begin(self._layout.release)
        for number, place in enumerate(self._layout.places, start=1):
            with self._files.opened(place.tenant_key) as opened:
                mirror_fill.fill(self._connection, place, opened)
                self._definitions[place.tables] = opened.tables
            if number % 100 == 0:
                self._progress(f"{number} of {len(self._layout.places)} places filled")
        self._state.end(self._layout.release)

    def _swap(self) -> None:
        """Move readers; where they do not let go it is tried again until patience ends."""
        for place in self._layout.places:
            if place.tables not in self._definitions:
                with self._files.opened(place.tenant_key) as opened:
                    self._definitions[place.tables] = opened.tables
        changes = mirror_views.changes(self._connection, self._layout, self._definitions, self._said)
        views = mirror_views.known(self._connection)
        patience, end = _FIRST_PATIENCE_SECONDS, time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._connection.transaction():
                    mirror_views.hold(self._connection, views, patience)
                    postgres.run(self._connection, changes)
                    mirror_grants.settle(self._connection, self._layout)
                    self._state.swapped(self._layout, self._policy)
                    mirror_check.check(self._connection, self._layout)
                return
            except psycopg.errors.OutOfMemory as error:
                if mirror_views.LOCKS_SETTING not in (error.diag.message_hint or ""):  # it is of memory itself
                    raise
                raise mirror_views.too_few_locks(self._connection, self._layout) from None
            except mirror_views.Held as held:
                if time.monotonic() > end:
                    raise
                views.insert(0, views.pop(held.place))
                time.sleep(_PAUSE_SECONDS)
                patience = min(2 * patience, _MOST_PATIENCE_SECONDS)

    def _said(self, place: Place) -> str:
        """Return what a place's readers are told of the release, as the manifest of their files has it."""
        exact = {"exact": True}
        privacy = json.dumps(exact if place.tenant_key else self._privacy, sort_keys=True)
        return f"Release {self._layout.release}. Privacy: {privacy}"

    def _sweep(self) -> None:
        """Drop what nobody sees any more: a killed run's tables, old releases, and tenants that have left."""
        tenants = {*self._layout.tenants, *self._state.granted()}
        for schema, tenant_key in self._state.leftovers(self._layout.release, tenants).items():
            try:
                with self._connection.transaction():
                    mirror_fill.drop(self._connection, schema)
                    if tenant_key and tenant_key not in tenants:
                        self._remove(tenant_key)  # with its last table, for no later run would know of the role
            except psycopg.errors.LockNotAvailable:
                self._progress(f"somebody reads from {schema}: the next run drops it")
        for tenant_key in sorted(set(self._state.withdrawn()) - tenants):
            self._remove(tenant_key)

    def _remove(self, tenant_key: str) -> None:
        """Remove a tenant's role, unless something is left that it is used for."""
        self._connection.execute("select quorum_roles.remove(%s)", [tenant_key])
