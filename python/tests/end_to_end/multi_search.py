"""A search for any of a hundred thousand texts in one pass over the bytes."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Name = TypeVar("Name", bound=Hashable)

WIDTH = 8
_BITS = 22
_MIX = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing
CHUNK = 1 << 22


class MultiSearch(Generic[Name]):
    """Finds texts by eight bytes of each, those that the fewest others have, and then by the rest.

    A table of bits says of nearly every place in the bytes that none of the texts can be there.
    """

    def __init__(self, forms: Iterable[tuple[bytes, Name]]) -> None:
        named: dict[bytes, list[Name]] = defaultdict(list)
        for form, name in forms:
            if len(form) < WIDTH:
                raise ValueError("a text this short would be found by chance")
            named[form].append(name)
        common = Counter(window for form in named for _, window in _windows(form))
        self._at: dict[bytes, list[tuple[int, bytes, list[Name]]]] = defaultdict(list)
        for form, names in named.items():
            offset, window = min(_windows(form), key=lambda each: common[each[1]])
            self._at[window].append((offset, form, names))
        heads = np.frombuffer(b"".join(self._at), np.uint64)
        self._table = np.zeros(1 << _BITS, np.bool_)
        self._table[_hashed(heads)] = True

    def found_in(self, content: bytes) -> set[Name]:
        """Return the names of all texts that stand in the content, whatever the case of its letters."""
        content = content.lower()
        found: set[Name] = set()
        for start in range(0, max(len(content) - WIDTH + 1, 0), CHUNK):
            chunk = np.frombuffer(content[start : start + CHUNK + WIDTH - 1], np.uint8)
            windows = sliding_window_view(chunk, WIDTH).view(np.uint64)[:, 0]
            for at in np.flatnonzero(self._table[_hashed(windows)]) + start:
                for offset, form, names in self._at.get(content[at : at + WIDTH], ()):
                    if offset <= at and content.startswith(form, at - offset):
                        found.update(names)
        return found


def _windows(form: bytes) -> list[tuple[int, bytes]]:
    """Return some of a form's windows, the last one included: its number, where it has one, tends to be there."""
    last = len(form) - WIDTH
    return [(at, form[at : at + WIDTH]) for at in (*range(0, last, WIDTH // 2), last)]


def _hashed(windows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (windows * _MIX) >> np.uint64(64 - _BITS)
