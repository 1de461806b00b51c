"""From where all that is shown comes: what dbt knows, and the two steps that it must not know.

No model may read the bounded cells, so dbt's own graph ends at the noise: the answers come back as a source. That
source says in its ``meta`` of which folder of models they were made (``made_of``), and lineage goes on there. And no
exposure may refer to a private model: which of them a page shows it says likewise (``also_of``).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# In the order of the night; what is in no folder of these is a seed or a source.
LAYERS = ("staging", "redaction", "governance", "utilities", "tenant", "cross_tenant", "release", "released", "marts")


@dataclass(frozen=True)
class Lineage:
    """Something that is shown, and all that it is made of: names by layer, from the sources on."""

    name: str
    label: str
    kind: str
    owner: str
    description: str
    direct: list[str]
    layers: dict[str, list[str]]


def of_exposures(manifest: "Manifest") -> list[Lineage]:
    """Return the lineage of each exposure, by name."""
    return [
        Lineage(
            name=exposure.name,
            label=exposure.label or exposure.name,
            kind=str(exposure.type.value),
            owner=exposure.owner.name or "",
            description=exposure.description,
            direct=sorted(_node(manifest, parent).name for parent in _parents(manifest, exposure.unique_id)),
            layers=_layers(manifest, upstream(manifest, exposure.unique_id)),
        )
        for exposure in sorted(manifest.exposures.values(), key=lambda each: each.name)
    ]


def upstream(manifest: "Manifest", shown: str) -> set[str]:
    """Return the ids of all that an exposure or model is made of, to the sources and seeds."""
    found: set[str] = set()
    waiting = [shown]
    while waiting:
        for parent in _parents(manifest, waiting.pop()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _parents(manifest: "Manifest", child: str) -> Iterator[str]:
    models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    if child in manifest.exposures:
        exposure = manifest.exposures[child]
        named = exposure.config.meta.get("also_of", [])
        yield from exposure.depends_on.nodes
        yield from (model.unique_id for model in models if model.name in named)
    elif child in manifest.sources:
        folder = manifest.sources[child].config.meta.get("made_of")
        yield from (model.unique_id for model in models if folder and model.original_file_path.startswith(f"{folder}/"))
    else:
        yield from manifest.nodes[child].depends_on_nodes


def _node(manifest: "Manifest", name: str) -> Any:
    return manifest.sources[name] if name in manifest.sources else manifest.nodes[name]


def _layers(manifest: "Manifest", nodes: set[str]) -> dict[str, list[str]]:
    layers = defaultdict(list)
    for name in nodes:
        node = _node(manifest, name)
        if node.resource_type == "source":
            layers["source"].append(f"{node.source_name}.{node.name}")
        else:
            layers["seed" if node.resource_type == "seed" else node.fqn[1]].append(node.name)
    return {layer: sorted(layers[layer]) for layer in ("source", "seed", *LAYERS) if layer in layers}
