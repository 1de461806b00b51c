"""One person, one token: of all spellings that the policy calls equal, and of no other."""

import sys
import unicodedata
from collections.abc import Callable
from itertools import product
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redaction.expressions import results

USER = "tokenise('value', 'user')"
SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()] + ["\u200b", "\ufeff"]
CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper, str.swapcase, str.title)
FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
# Greek letters with an iota below are two letters in capitals, and stay apart from those
LETTERS = [
    chr(code)
    for code in range(33, sys.maxunicode + 1)
    if chr(code).isprintable() and "\u0345" not in unicodedata.normalize("NFD", chr(code))
]


def spellings(text: str) -> list[str]:
    return [unicodedata.normalize(form, case(text)) for form, case in product(FORMS, CASES)]


def test_every_letter_has_one_token_in_all_its_spellings() -> None:
    values = [f"a{letter}b" for letter in LETTERS if unicodedata.category(letter)[0] == "L" and ord(letter) < 0x20000]
    # most letters have neither cases nor parts
    spelt = {value: texts for value in values if len(texts := sorted({*spellings(value)})) > 1}
    assert len(spelt) > 13_000
    found = iter(results("normalised('value')", [text for texts in spelt.values() for text in texts]))
    tokens = {value: {next(found) for _ in texts} for value, texts in spelt.items()}
    assert not [value for value, each in tokens.items() if len(each) > 1 and not has_two_capitals(value)]


def has_two_capitals(text: str) -> bool:
    """Return whether the letter in the middle stands for several that no list of ours spells out."""
    return len(unicodedata.normalize("NFC", text.upper())) > len(text) and len(unicodedata.normalize("NFD", text)) > 3


@settings(max_examples=60)
@given(
    st.text(st.sampled_from([*LETTERS[:2000], "ß", "İ", "\u0131", "ς", "ﬁ"]), min_size=1, max_size=12),
    st.sampled_from(SPACES),
    st.sampled_from(SPACES),
)
def test_spaces_case_and_composition_do_not_matter(text: str, before: str, after: str) -> None:
    text = f"k{text}k"  # a letter that combines with nothing, so that what is trimmed is what was put around it
    values = [f"{before}{spelling}{after}{after}" for spelling in spellings(text)]
    assert len(set(results(USER, [text, *values]))) == 1


def test_case_matters_where_the_policy_says_so() -> None:
    exact = "tokenise('value', 'user', case_matters=true)"
    ada, upper, spaced, decomposed, composed = results(exact, ["zoë", "ZOË", "\u00a0zoë\u3000", "zoe\u0308", "zoë"])
    assert ada != upper
    assert ada == spaced == decomposed == composed


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=50, unique=True))
def test_different_ids_have_different_tokens(ids: list[int]) -> None:
    assert len(set(results(USER, [f"user {number}" for number in ids]))) == len(ids)


def test_an_address_becomes_a_token_and_the_class_of_its_domain() -> None:
    cases = {
        "Ada@Gmail.com": "free_mail",
        "ada@mailinator.com": "disposable",
        "ada@cs.uni.edu": "education",
        "ada@ox.ac.uk": "education",
        "ada@bmi.bund.de": "government",
        "ada@hmrc.gov.uk": "government",
        "ada@acme.io": "company",
        "ada@acme.io.": "company",
        "ada@sub.example": "reserved",
        "ada@b@c": None,
        "ada": None,
    }
    assert dict(zip(cases, results("email_domain_class('value')", cases), strict=True)) == cases
    one, same, other, none = results("email_token('value')", ["Ada@Gmail.com", " ada@gmail.com\n", "ada@gmx.de", "ada"])
    assert one == same != other
    assert (one[32:], none) == (":free_mail", None)


def test_a_telephone_number_becomes_a_token_and_its_country() -> None:
    spellings_of_one = [
        "+49 (0)151 2345678",
        "0049-151-2345678",
        "tel:+491512345678",
        "+49\u00a0151\u20112345678",
        "+49.151/2345678",
    ]
    assert len({*results("phone_token('value')", spellings_of_one)}) == 1
    cases = {
        "+491512345678": "+49",
        "+1 555 123 4567": "+1",
        "+3531234567": "+353",
        "+7 495 1234567": "+7",
        "0151 2345678": None,
        "x": None,
    }
    assert dict(zip(cases, results("calling_code('value')", cases), strict=True)) == cases
    national, none = results("phone_token('value')", ["0151 2345678", "call me"])
    assert (len(national), none) == (32, None)
