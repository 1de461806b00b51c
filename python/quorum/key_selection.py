"""Keys that users make: which of them are no secret, and so may be the keys of a metric.

A selection counts sampled users per key over all consenting tenants (``macros/anonymity/key_counts.sql``), and answers
with the keys that are a quorum beyond doubt. Nothing but the keys is kept: a count that had to pass a bar is no fair
estimate, and from week to week it would tell of a tenant that comes or goes. The proofs are in docs/privacy-model.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from quorum import mechanisms
from quorum.errors import QuorumError
from quorum.ledger import Answer
from quorum.measurement import Plan, eligible_groups
from quorum.metrics import MAX_CELLS_OF_METRIC
from quorum.policy import Spec

SELECTED = "selected"  # where the payload of an answer holds its keys; other answers have no such part

Noise = Callable[[Sequence[int], float], list[int]]


@dataclass(frozen=True)
class KeyCount:
    """What one key was counted for, exact: sampled users, contributors, and the users of the largest of these."""

    key: str
    users: int
    contributors: int
    largest: int


def select(
    spec: Spec, plan: Plan, counts: Sequence[KeyCount], noise: Noise = mechanisms.discrete_gaussian
) -> list[str]:
    """Return the keys that are a quorum, sorted; of more than a metric can hold, those with the most noisy users.

    A key without a count gets no noise: below the exact quorum, no noise would let it pass. Raises QuorumError where a
    key that passed is not of so many contributors as it must be, which only counts that are wrong can bring about.
    """
    noisy = noise([each.users for each in counts], plan.atom_scale)
    passed = eligible_groups(spec, plan, [each.users for each in counts], noisy)
    found = [(users, each) for users, each, ok in zip(noisy, counts, passed, strict=True) if ok]
    for _, each in found:
        if each.contributors < spec.min_tenants or each.largest > spec.tenant_cap:
            raise QuorumError(f"nothing is released: a key of {spec.name} breaks its guarantees")
    found.sort(key=lambda one: (-one[0], one[1].key))
    return sorted(each.key for _, each in found[:MAX_CELLS_OF_METRIC])


def known(specs: Iterable[Spec], answers: Iterable[Answer], start: date) -> dict[str, list[str]]:
    """Return by selection the keys that a period from ``start`` on may ask about; none before the first answer.

    They are those of the newest period that was over by then and has any: an answer that was given, so they are as
    public as it is. A period's own selection would come too late, for both are answered in one night.
    """
    earlier: dict[str, list[Answer]] = {spec.name: [] for spec in specs if spec.is_selection}
    for answer in answers:
        if answer.slot.release in earlier and answer.slot.end <= start and answer.payload.get(SELECTED):
            earlier[answer.slot.release].append(answer)
    newest = {name: max(given, key=lambda each: each.slot.end) for name, given in earlier.items() if given}
    return {name: list(newest[name].payload[SELECTED]) if name in newest else [] for name in earlier}
