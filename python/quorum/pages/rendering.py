"""Templates into bytes: one style, escaped text, and a policy that lets a browser fetch nothing.

Every value is escaped. What a page may run or be styled by is named by its hash in the page itself, so that a text that
slipped through as markup could still neither run nor call home.
"""

import hashlib
import math
import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from quorum.pages import plots

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Number = int | float | Decimal


def page(template: str, **content: Any) -> bytes:
    """Render a page; raises UndefinedError for a value that the template asks for and nobody gave."""
    return _environment().get_template(template).render(content).encode()


def version() -> str:
    """Return a hash of all templates: with the content, what a page is made of."""
    digest = hashlib.sha256()
    for file in sorted(TEMPLATES.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"figure": figure, "share": share, "days": day, "words": words, "small": small, "cell": cell}
    environment.globals |= {
        "style": inline("page.css"),
        "script": inline("open.js"),
        "content_policy": _content_policy(),
        "plots": plots,
    }
    return environment


def inline(name: str) -> Markup:
    """Return a file of ours for the inside of an element, as it is."""
    return Markup((TEMPLATES / name).read_text("utf-8"))  # noqa: S704  # no value of anybody's is in it


def _content_policy() -> str:
    def hashed(name: str) -> str:
        return f"'sha256-{b64encode(hashlib.sha256(inline(name).encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {hashed('page.css')}; script-src {hashed('open.js')}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def figure(value: Number | None) -> str:
    """Write a number with as many places as tell something, thousands apart, with a true minus."""
    if value is None or not math.isfinite(value):
        return NOTHING
    number = float(value)
    places = 0 if abs(number) >= 100 or number.is_integer() else 1 if abs(number) >= 1 else 2
    return f"{round(number, places):,.{places}f}".replace("-", MINUS)


def share(value: Number | None) -> str:
    """Write a part of one in percent, to a tenth."""
    return NOTHING if value is None or not math.isfinite(value) else f"{100 * float(value):.1f} %".replace("-", MINUS)


def small(value: Number | None) -> str:
    """Write a number to three figures, in powers of ten where it is tiny."""
    if value is None:
        return NOTHING
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    if float(value) and int(exponent) < -3:
        return f"{float(mantissa):g} {TIMES} 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return f"{value:.3g}"


def day(value: date | datetime | None) -> str:
    """Write a day as people do: 23 March 2026."""
    return NOTHING if value is None else f"{value.day} {value:%B %Y}"


def cell(value: object) -> object:
    """Write whatever a column holds."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return small(value) if isinstance(value, float | Decimal) else value


def words(name: str) -> str:
    """Write the name of a metric, segment or feature as words: weeks_1_2 is from 1 to 2."""
    return re.sub(r"(?<=\d)_(?=\d)", " to ", name).replace("_", " ")


def finite(values: Iterable[Number | None]) -> list[float]:
    """Return what there is of numbers that a scale can be made of."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]
