"""The public keys that a release may ask about, as they are in a workspace."""

from quorum import warehouse
from quorum.workspace import Workspace


def catalog_keys(workspace: Workspace) -> list[str]:
    """Return the public features of the formats that this workspace has folders for, in order."""
    formats = [folder.name for folder in workspace.landing.iterdir() if folder.is_dir()]
    with warehouse.opened(workspace, "tenant", read_only=True) as connection:
        found = warehouse.rows(
            connection,
            "select distinct feature from feature_catalog where list_contains(?, source_format) order by feature",
            [formats],
        )
    return [row["feature"] for row in found]


def key_sets(workspace: Workspace) -> dict[str, list[str]]:
    """Return the sets of public keys that a release may name in its metrics."""
    return {"feature_catalog": catalog_keys(workspace)}
