"""What dbt's manifest says: the declared releases, the raw formats, and the forms of redaction."""

from typing import TYPE_CHECKING, Any

from quorum.errors import BadInput

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


def declared_releases(manifest: "Manifest") -> dict[str, dict[str, Any]]:
    """Return each model's ``config.meta.release`` block by the name of its model."""
    found = {
        node.name: node.config.meta["release"]
        for node in manifest.nodes.values()
        if node.resource_type == "model" and "release" in node.config.meta
    }
    for model, block in found.items():
        if not model.startswith("dp_") or block.get("name") != model.removeprefix("dp_"):
            raise BadInput(f"model {model}: a release is declared on a model named dp_<release>")
    return found


def rewriting_formats(manifest: "Manifest") -> set[str]:
    """Return the raw formats whose staging model says ``meta.landing.rewrites``: files there are written anew."""
    return {
        node.path.split("/")[1]
        for node in manifest.nodes.values()
        if node.resource_type == "model" and node.config.meta.get("landing", {}).get("rewrites")
    }


def field_forms(manifest: "Manifest") -> dict[str, list[str]]:
    """Return the actions that redaction has a form for, by field of the event contract; none for what never passes.

    A tenant's pseudonym is the keyring's, whatever the policy says.
    """
    forms: dict[str, list[str]] = {"tenant_id": ["tokenise"]}
    for meta in (node.config.meta for node in manifest.nodes.values() if node.resource_type == "model"):
        for field in meta.get("contract_fields", ()):
            forms.setdefault(field, [])
        forms |= {key.removeprefix("forms_"): meta[key] for key in meta if key.startswith("forms_")}
    return forms
