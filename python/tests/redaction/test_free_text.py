"""What the scrub of free text finds, what it leaves, and that nothing breaks it."""

import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.simulate_text import Text, harmless_texts, remains, texts
from tests.redaction.expressions import results
from tests.redaction.hostile import HOSTILE

SCRUB = "scrub('value')"


def scrubbed(values: Sequence[str | None]) -> list[str]:
    return results(SCRUB, values)


def test_of_what_is_written_in_five_languages_at_least_99_percent_is_found() -> None:
    written = list(texts(5800, seed=11))
    missed = Counter(
        text.kind
        for text, after in zip(written, scrubbed([t.text for t in written]), strict=True)
        if remains(text, after)
    )
    total = Counter(text.kind for text in written)
    assert len(total) == 28
    assert missed.total() <= 0.01 * len(written), missed
    assert not [kind for kind in missed if missed[kind] > 0.05 * total[kind]], missed


def test_a_scrub_that_finds_nothing_fails_that_test() -> None:
    written = list(texts(280, seed=11))
    assert all(remains(text, text.text) for text in written)


def test_most_texts_with_harmless_numbers_pass_unchanged() -> None:
    written = [text.text for text in harmless_texts(2000, seed=5)]
    changed = [text for text, after in zip(written, scrubbed(written), strict=True) if text != after]
    assert len(changed) <= 0.1 * len(written)


FOUND = {
    "email": [
        "Ada <ada@x.example>",
        "email:ada@x.example",
        "ada@x.example,bob@y.example",
        "ADA@X.EXAMPLE.",
        "ada(at)x.example",
        "a@localhost",
    ],
    "phone": [
        *(
            "+49 151/234 56 78",
            "0049.151.2345678",
            "(+34) 612 345 678",
            "06-12-34-56-78",
            "(555)123-4567",
            "555.123.4567",
            "+1-555-123-4567",
        ),
        *(
            "Tel: 5551234567",
            "fon 12 34 56 78",
            "(030) 123 456 78",
            "030 / 12 34 56 78",
            "+48512345678",
            "020 7946 0958",
            "+39 347 1234567",
        ),
    ],
    "card": [
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "378282246310005",
        "3782 822463 10005",
        "exp 4111111111111111, 12/27",
    ],
    "iban": [
        "DE89370400440532013000",
        "IBAN:DE89 3704 0044 0532 0130 00",
        "gb82 west 1234 5698 7654 32",
        "FR14 2004 1010 0505 0001 3M02 606",
    ],
    "ip": [
        "198.51.100.7",
        "[2001:db8::1]",
        "ip=2001:DB8:0:0:0:0:0:1",
        "::1",
        "::ffff:198.51.100.7",
        "fe80::1%eth0",
        "198.51.100.7:8080",
    ],
    "id": [
        "123-45-6789",
        "SSN: 123456789",
        "AB 12 34 56 C",
        "12345678Z",
        "12.345.678-Z",
        "X-1234567-L",
        "44051401359",
        "52998224725",
    ],
    "key": [
        "AKIAIOSFODNN7EXAMPLE",
        "api_key = s3cr3t",
        "PASSWORD:hunter2",
        "Bearer abcdef123456",
        "client-secret='x9'",
        "sk_live_4eC39HqLyjWD",
    ],
    "coordinates": [
        "52.5200, 13.4050",
        "N 52.5200° E 13.4050°",
        "lat: 52.520 lon: 13.405",
        "48°51'24\"N, 2°21'03\"E",
        "-33.8688,151.2093",
    ],
    "url": ["https://u:p@h.example/x?y", "www.x.example/users/ada", "ftp://h/ada"],
    "mac": ["00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values])
def test_spellings_by_hand(kind: str, value: str) -> None:
    (after,) = scrubbed([f"see {value} there"])
    assert f"[{kind}]" in after
    assert not re.search(r"[0-9]{3}|ada|hunter|s3cr3t", after)


def test_check_digits_decide() -> None:
    right = [
        "4111111111111111",
        "DE89 3704 0044 0532 0130 00",
        "12345678Z",
        "44051401359",
        "52998224725",
        "86095742719",
    ]
    wrong = [
        "4111111111111112",
        "DE88 3704 0044 0532 0130 00",
        "12345678A",
        "44051401358",
        "52998224726",
        "86095742718",
    ]
    assert {
        re.sub(r".*\[(\w+)\].*", r"\1", after) for after in scrubbed([f"see {number} there" for number in right])
    } == {"card", "iban", "id"}
    assert not [
        after
        for after in scrubbed([f"see {number} there" for number in wrong])
        if re.search(r"\[(card|iban|id)\]", after)
    ]


def test_names_are_where_patterns_end() -> None:
    text = "Ada Lovelace from accounting lives in Rome"
    assert scrubbed([text]) == [text]


def test_encodings_inside_a_text() -> None:
    encoded = [
        "ada%40x.example",
        "YWRhQHguZXhhbXBsZQ==",
        "ada\\u0040x.example",
        "ada&#64;x.example",
        "ada\uff20x.example",
        "ada@\u200bx.example",
    ]
    assert not [
        after
        for after in scrubbed([f"mail {value} now" for value in encoded])
        if not re.fullmatch(r"mail \[\w+\] now", after)
    ]


def test_no_text_breaks_it() -> None:
    found = scrubbed([*HOSTILE, None])
    assert found[-1] is None
    assert max(len(after) for after in found if after is not None) <= 10_000


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.text(max_size=30))
def test_a_second_time_changes_nothing(seed: int, noise: str) -> None:
    written: list[Text] = list(texts(28, seed))
    once = scrubbed([f"{noise} {text.text} {noise}" for text in written])
    assert scrubbed(once) == once
