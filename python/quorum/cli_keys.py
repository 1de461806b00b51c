"""``quorum keys`` and ``quorum access``: hand keys over, rotate and shred them; who was let in to what."""

from typing import Any

import click

from quorum import access_log, rekey, report, settings
from quorum.audit import AuditLog
from quorum.errors import BadInput
from quorum.keyring import NEW_MASTER_KEY_VARIABLE, Keyring
from quorum.workspace import Workspace


@click.argument("action", type=click.Choice(["show", "rotate", "shred"]), default="show")
@click.option("--tenant", help="Its keys; with `show`, the key of its bundle, to hand it over.")
@click.option("--all", "every", is_flag=True, help="With `rotate`: the keys of all tenants.")
@click.option(
    "--master",
    is_flag=True,
    help=f"With `rotate`: wrap all keys by {NEW_MASTER_KEY_VARIABLE} instead of the present one.",
)
@click.option("--yes", is_flag=True, help="With `shred`: this cannot be undone, and I mean it.")
def keys(workspace: Workspace, action: str, tenant: str | None, every: bool, master: bool, yes: bool) -> dict[str, Any]:
    """List who has keys or hand a bundle's key over; `rotate` begins a key epoch, `shred` destroys a tenant's keys."""
    chosen = [bool(tenant), every, master].count(True)
    if action == "show":
        if every or master or yes:
            raise BadInput("`keys show` takes --tenant and nothing else")
        found = report.of_keys(workspace, Keyring.open(workspace.keyring), tenant)
        if tenant:
            AuditLog(workspace).append("key_handed_over", tenant_key=found["tenant_key"], on=str(settings.today()))
        return found
    if action == "rotate":
        if chosen != 1 or yes:
            raise BadInput("`keys rotate` takes one of --tenant, --all and --master")
        return _rewrap(workspace) if master else _rotate(workspace, tenant)
    if chosen != 1 or not tenant:
        raise BadInput("`keys shred` takes --tenant, and --yes")
    if not yes:
        raise BadInput("to shred a tenant's keys cannot be undone: say --yes if you mean it")
    return _shred(workspace, tenant)


@click.option("--tenant", help="What concerns this one alone.")
def access(workspace: Workspace, tenant: str | None) -> dict[str, Any]:
    """Show who was let in to what, and when no more: keys that were made, printed, changed, and roles in PostgreSQL."""
    names = {keys.tenant_key: name for name, keys in Keyring.open(workspace.keyring).tenants().items()}
    return {"access": access_log.of_log(AuditLog(workspace).records(), names, tenant)}


def _rotate(workspace: Workspace, tenant: str | None) -> dict[str, Any]:
    """Begin a new epoch, and carry into it what is stored."""
    known = list(Keyring.open(workspace.keyring).tenants())
    if not known:
        raise BadInput("there are no keys yet to rotate")
    workspace.prepare()
    with workspace.locked():
        keyring = Keyring.open(workspace.keyring)
        # what a killed run left behind comes first, so that each epoch is on the audit log
        rekey.finish(workspace, keyring)
        rotated = keyring.rotate([tenant] if tenant else known)
        rekey.finish(workspace, keyring)
    found: dict[str, Any] = {"rotated": len(rotated)}
    if tenant:
        found |= {"tenant_key": rotated[0].tenant_key, "epoch": rotated[0].epoch}
    return found


def _shred(workspace: Workspace, tenant: str) -> dict[str, Any]:
    Keyring.open(workspace.keyring).of(tenant)
    workspace.prepare()
    with workspace.locked():
        keyring = Keyring.open(workspace.keyring)
        shredded = keyring.shred(tenant)
        rekey.finish(workspace, keyring)
    return {"shredded": 1, "tenant_key": shredded.tenant_key, "epoch": shredded.epoch}


def _rewrap(workspace: Workspace) -> dict[str, Any]:
    workspace.prepare()
    with workspace.locked():
        rewrapped = Keyring.rewrap(workspace.keyring)
        AuditLog(workspace).append("master_key_rotated", again=not rewrapped)
    return {"rewrapped": rewrapped}
