"""HMAC in DuckDB's SQL: how it gets its keys, and how a token is carried on from one key to the next."""

import pyarrow as pa

from quorum.tenant_keys import pads

PADS = [("inner_pad", pa.binary()), ("outer_pad", pa.binary())]

_HMAC = "left(sha256({1}.outer_pad || unhex(sha256({1}.inner_pad || encode({0})))), 32)"

# The HMAC of a token under each key of a list in turn. A fold's state is of the type of the list's elements; it costs
# more than what it folds, and most lists have one key.
CHAIN = f"""
create or replace {{kind}} macro {{name}}(token, pads) as
    case
        when len(pads) = 1 then {_HMAC.format("token", "pads[1]")}
        else list_reduce(
            list_transform(
                pads,
                lambda pad: struct_pack(inner_pad := pad.inner_pad, outer_pad := pad.outer_pad, token := null::varchar)
            ),
            lambda so_far, step: struct_pack(
                inner_pad := step.inner_pad,
                outer_pad := step.outer_pad,
                token := {_HMAC.format("so_far.token", "step")}
            ),
            struct_pack(inner_pad := ''::blob, outer_pad := ''::blob, token := token)
        ).token
    end
"""


def padded(key: bytes) -> dict[str, bytes]:
    """Return a key as SQL takes it: sha256(outer_pad || sha256(inner_pad || message)) is then plain SQL."""
    return dict(zip(("inner_pad", "outer_pad"), pads(key), strict=True))
