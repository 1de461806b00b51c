"""The forms in which a value can be read: as it is, cut short, encoded once or twice, or hashed without a key."""

import base64
import hashlib
import json
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import product, takewhile
from urllib.parse import quote, quote_plus

Canary = str | bytes

# A value that is cut after so many characters still names somebody, where no other value begins in the same way.
LONG_ENOUGH = 12
HASHES = ("md5", "sha1", "sha256")


def spellings(canaries: Iterable[Canary]) -> Iterator[tuple[bytes, Canary]]:
    """Yield each form of each canary, in lower case: that is how a text is searched."""
    texts = sorted(canary for canary in canaries if isinstance(canary, str))
    for canary in canaries:
        forms = _of_key(canary) if isinstance(canary, bytes) else _of_text(canary, _beginning(canary, texts))
        for form in {form.lower() for form in forms}:
            yield form, canary


def _beginning(text: str, others: list[str]) -> str:
    """Return the shortest beginning of a text that is long enough and that none of the others has."""
    at = bisect_left(others, text)
    shared = max((_shared(text, others[i]) for i in (at - 1, at + 1) if 0 <= i < len(others)), default=0)
    return text[: max(LONG_ENOUGH, shared + 1)]


def _shared(one: str, other: str) -> int:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


def _of_key(key: bytes) -> set[bytes]:
    return {key, _as_duckdb_shows(key), quote(key, safe="").encode(), key.hex().encode(), *_base64(key)}


def _of_text(text: str, beginning: str) -> set[bytes]:
    """Return the forms of what a value begins with, which every form of it begins with; hashes are of all."""
    whole = {spelt.encode() for spelt in (text, text.lower(), text.upper())}
    hashes = {hashlib.new(name, value).hexdigest()[:32].encode() for name in HASHES for value in whole}
    spelt = (beginning, beginning.lower(), beginning.upper(), unicodedata.normalize("NFD", beginning))
    found = {each.encode() for each in spelt}
    for value in tuple(found):
        found |= {form for encoding in ENCODINGS for form in encoding(value)}
    plain = beginning.encode()
    for first, second in product(ENCODINGS, repeat=2):
        found |= {outer for inner in first(plain) for outer in second(inner)}
    # a link in a link in a link, and a text of JSON in one of JSON in one of JSON in a line of JSON
    for encoding, deepest in ((_url, 3), (_json, 4)):
        deep = {plain}
        for _ in range(deepest):
            deep = {outer for inner in deep for outer in encoding(inner)}
            found |= deep | {outer for inner in deep for outer in _url(inner)}
    return found | hashes


def _url(value: bytes) -> set[bytes]:
    """Return how encoders for a URL, a path and a form write it."""
    return {quote(value, safe="").encode(), quote(value).encode(), quote_plus(value).encode()}


def _hex(value: bytes) -> set[bytes]:
    return {value.hex().encode()}


def _json(value: bytes) -> set[bytes]:
    return {json.dumps(value.decode())[1:-1].encode()}


def _base64(value: bytes) -> set[bytes]:
    """Return the characters of a base64 text that depend on the value alone, where no, one or two bytes precede it."""
    encoded = [base64.b64encode(bytes(before) + value) for before in range(3)]
    return {text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6] for before, text in enumerate(encoded)}


ENCODINGS: tuple[Callable[[bytes], set[bytes]], ...] = (_url, _hex, _json, _base64)


def _as_duckdb_shows(blob: bytes) -> bytes:
    plain = set(range(32, 127)) - set(b"\\'\"")
    return b"".join(bytes([byte]) if byte in plain else b"\\x%02X" % byte for byte in blob)
