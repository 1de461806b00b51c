"""HMAC in DuckDB's SQL: how it gets its keys, and how a token is carried on from one key to the next."""

import pyarrow as pa

from quorum.tenant_keys import pads

PADS = [("inner_pad", pa.binary()), ("outer_pad", pa.binary())]

# The HMAC of a token under each key of a list in turn; a fold's state is of the type of the list's elements.
CHAIN = """
create or replace {kind} macro {name}(token, pads) as list_reduce(
    list_transform(
        pads,
        lambda pad: struct_pack(inner_pad := pad.inner_pad, outer_pad := pad.outer_pad, token := null::varchar)
    ),
    lambda so_far, step: struct_pack(
        inner_pad := step.inner_pad,
        outer_pad := step.outer_pad,
        token := left(sha256(step.outer_pad || unhex(sha256(step.inner_pad || encode(so_far.token)))), 32)
    ),
    struct_pack(inner_pad := ''::blob, outer_pad := ''::blob, token := token)
).token
"""


def padded(key: bytes) -> dict[str, bytes]:
    """Return a key as SQL takes it: sha256(outer_pad || sha256(inner_pad || message)) is then plain SQL."""
    return dict(zip(("inner_pad", "outer_pad"), pads(key), strict=True))
