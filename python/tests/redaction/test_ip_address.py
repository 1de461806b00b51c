"""Of an address its network passes, whatever it is spelt like: compared with Python's `ipaddress`."""

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redaction.expressions import results

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# where whole address spaces stand for others, so that chance does not meet them
SPECIAL = st.sampled_from([0, 0xFFFF << 32, 0x2002 << 112, 0x20010000 << 96, 0x0064FF9B << 96, 0xFE80 << 112])
V4 = st.ip_addresses(v=4)
V6 = st.one_of(
    st.ip_addresses(v=6),
    st.builds(
        lambda start, rest: ipaddress.IPv6Address(start + rest),
        SPECIAL,
        st.integers(0, 2**96 - 1).map(lambda n: n & (2**32 - 1)),
    ),
    st.builds(lambda rest: ipaddress.IPv6Address((0x2002 << 112) + rest), st.integers(0, 2**112 - 1)),
)


def network_of(address: Address) -> str:
    """Return the network as the macro writes it."""
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    if isinstance(address, ipaddress.IPv4Address):
        return ".".join(str(address).split(".")[:3]) + "/24"
    return ":".join(f"{int(group, 16):x}" for group in address.exploded.split("%")[0].split(":")[:3]) + "/48"


@st.composite
def spelt(draw: st.DrawFn) -> tuple[str, str]:
    """Draw an address in one of its spellings, with its network."""
    address = draw(st.one_of(V4, V6))
    text = str(address)
    if isinstance(address, ipaddress.IPv6Address):
        groups = address.exploded.split(":")
        low = ipaddress.IPv4Address(int(address) & (2**32 - 1))
        text = draw(
            st.sampled_from(
                [
                    text,
                    address.exploded,
                    ":".join(f"{int(group, 16):x}" for group in groups),
                    f"{':'.join(groups[:6])}:{low}",
                    shortened(groups),
                ]
            )
        )
        text = draw(st.sampled_from([text, text.upper(), f"{text}%eth0", f"{text}%1"]))
    return text, network_of(address)


def shortened(groups: list[str]) -> str:
    """Return the address with its first run of zeros left out, however short that is."""
    zeros = [place for place, group in enumerate(groups) if int(group, 16) == 0]
    if not zeros:
        return ":".join(groups)
    return f"{':'.join(groups[: zeros[0]])}::{':'.join(groups[zeros[0] + 1 :])}"


@settings(max_examples=40)
@given(st.lists(spelt(), min_size=20, max_size=40))
def test_every_spelling_of_an_address_gives_its_network(pairs: list[tuple[str, str]]) -> None:
    assert results("truncate_ip('value')", [text for text, _ in pairs]) == [network for _, network in pairs]


@settings(max_examples=40)
@given(st.lists(st.text("0123456789abcfF:.%/[] ", max_size=24), min_size=20, max_size=40))
def test_what_is_no_address_for_python_is_none_here(texts: list[str]) -> None:
    expected = []
    for text in texts:
        try:
            expected.append(network_of(ipaddress.ip_address(text)))
        except ValueError:
            expected.append(None)
    assert results("truncate_ip('value')", texts) == expected


def test_addresses_by_hand() -> None:
    cases = {
        "::1": "0:0:0/48",
        "2001:DB8::9": "2001:db8:0/48",
        "::ffff:203.0.113.9": "203.0.113/24",
        "::FFFF:cb00:7109": "203.0.113/24",
        "2002:cb00:7109::1": "203.0.113/24",
        "fe80::1%eth0": "fe80:0:0/48",
        **dict.fromkeys(
            ["203.0.113.9:443", "[::1]:443", "203.0.113", "203.0.113.09", "4915:1234:5678:90", "::1%", "1.2.3.4\n"]
        ),
    }
    assert dict(zip(cases, results("truncate_ip('value')", cases), strict=True)) == cases
