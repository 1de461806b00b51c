"""Where things lie in the mirror: what each role finds, in which schema, and over which tables.

The rows of one tenant in one release have a schema of their own, and so have those that are for all:
``quorum_r_<release>_<tenant_key>`` and ``quorum_r_<release>``. What readers name does not change from release to
release: views in ``quorum_t_<tenant_key>`` (the name of the tenant's role too, so that it is that role's ``"$user"`` on
the search path) and in ``quorum``. Names are made of hex digits alone and cannot be taken for one another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quorum.access import BENCHMARKS, TENANT, Access
from quorum.mirror_setup import BENCHMARKS as BENCHMARKS_ROLE

STATE = "quorum_state"
VIEWS = "quorum"
TENANT_PREFIX, RELEASE_PREFIX = "quorum_t_", "quorum_r_"
# schemas that are the mirror's: those of the roles are the administrator's
OURS = r"nspname ~ '^quorum(_t_[0-9a-f]+|_r_[0-9a-f]+(_[0-9a-f]+)?|_state)?$'"


@dataclass(frozen=True)
class Place:
    """What one role finds: views of its own over tables of its own."""

    role: str
    views: str
    tables: str
    relations: tuple[str, ...]  # that have a table
    seen: tuple[str, ...]  # that have a view, too
    tenant_key: str | None = None


@dataclass(frozen=True)
class Layout:
    """All places of one release."""

    release: str
    places: tuple[Place, ...]

    @classmethod
    def of(
        cls, release: str, benchmarks: Iterable[str], tenants: Mapping[str, Iterable[str]], access: Access
    ) -> "Layout":
        """Lay a release out: names of the relations for all, and of those of each tenant by its key."""
        names = sorted(benchmarks)
        places = [
            Place(
                BENCHMARKS_ROLE,
                VIEWS,
                f"{RELEASE_PREFIX}{release}",
                tuple(names),
                tuple(access.seen(BENCHMARKS, names)),
            )
        ]
        for key, relations in sorted(tenants.items()):
            own, role = sorted(relations), f"{TENANT_PREFIX}{key}"
            tables = f"{RELEASE_PREFIX}{release}_{key}"
            places.append(Place(role, role, tables, tuple(own), tuple(access.seen(TENANT, own)), key))
        return cls(release, tuple(places))

    @property
    def tenants(self) -> list[str]:
        return [place.tenant_key for place in self.places if place.tenant_key]

    @property
    def seen(self) -> dict[str, list[str]]:
        """Which relations each kind of role finds, over all roles of the kind."""
        found: dict[str, set[str]] = {BENCHMARKS: set(), TENANT: set()}
        for place in self.places:
            found[TENANT if place.tenant_key else BENCHMARKS] |= set(place.seen)
        return {kind: sorted(names) for kind, names in found.items()}
