"""What a page says, as a reader takes it: its tables by name, its tags, and its text."""

import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "input", "br", "line", "circle", "rect", "path", "text"}


class Page(HTMLParser):
    """Reads a page: ``tables``, rows of cells by caption or label, and ``tags``, all that begin, with attributes."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._name = ""
        self._rows: list[list[str]] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if attributes.get("role") == "region":
            self._name = attributes["aria-label"] or ""
        if tag == "table":
            self._rows = []
        if tag == "caption":
            self._name = ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._name] = [[" ".join(cell.split()) for cell in row] for row in self._rows]
            self._name = ""

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & {*self._open}:
            return
        self.text += data
        if "caption" in self._open:
            self._name = self._name or data.strip()
        if {"th", "td"} & {*self._open[-4:]} and "svg" not in self._open:
            self._rows[-1][-1] += data

    def links(self) -> list[str]:
        """Return every address that the page names."""
        names: Any = ("href", "src", "action", "data", "poster", "srcset", "xlink:href")
        return [str(value) for _, attributes in self.tags for name, value in attributes.items() if name in names]


def number(text: str) -> float:
    """Read a number that a page shows."""
    return float(text.replace(",", "").replace("\N{MINUS SIGN}", "-").removesuffix(" %"))


def sealed(page: bytes) -> str:
    """Return the seal of a tenant's page."""
    found = re.search(rb'id="sealed">([^<]*)<', page)
    assert found
    return found[1].decode()
