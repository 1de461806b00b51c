"""What holds for each redaction macro: nothing comes of nothing, nothing breaks it, and nothing shines through."""

import json
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redaction.expressions import results
from tests.redaction.hostile import HOSTILE

WORDS = "['app', 'home']"
MACROS = {
    "tokenise('value', 'user')": 32,
    "truncate_ip('value')": 20,
    "email_token('value')": 50,
    "email_domain_class('value')": 12,
    "phone_token('value')": 40,
    "calling_code('value')": 4,
    "country_code('value')": 2,
    "user_agent_family('value')": 8,
    "referrer_channel('value')": 8,
    f'strip_url("value", "{WORDS}")': 16 * 4 + 15,
    "whole_degrees('value')": 4,
    "two_digits_of_text('value')": 17,
    "instant_text(truncated_instant(utc_timestamp('value'), 'hour'))": 30,
}
FRAMES = (
    *(
        "{}",
        " {} ",
        "{}@{}.example",
        "https://{}.example/{}/app?q={}#{}",
        "https://{}:{}@h/app",
        "+49 {}",
        "::{}",
        "fe80::1%{}",
    ),
    *(
        "2026-03-28 {}",
        "Mozilla/5.0 ({}) Firefox/{}",
        '{{"a":"{}"}}',
        "DE{}",
        "12.{}",
        "%20{}",
        "https://www.google.com/{}",
    ),
)


@pytest.mark.parametrize("macro", MACROS)
def test_null_stays_null(macro: str) -> None:
    assert results(macro, [None, None]) == [None, None]


@pytest.mark.parametrize("macro", MACROS)
def test_no_text_breaks_it_and_what_comes_is_short(macro: str) -> None:
    found = results(macro, HOSTILE)
    assert max((len(result) for result in found if result is not None), default=0) <= MACROS[macro]


@pytest.mark.parametrize("macro", MACROS)
def test_nothing_of_a_text_shines_through(macro: str) -> None:
    rng = random.Random(3)
    names = ["".join(rng.choices(string.ascii_letters + "éżß", k=9)) for _ in range(40)]
    values = [
        frame.replace("{}", name).format() if "{{" in frame else frame.replace("{}", name)
        for name in names
        for frame in FRAMES
    ]
    found = results(macro, values)
    runs = [name[start : start + 4].lower() for name in names for start in range(6)]
    written = "\n".join(sorted({result.lower() for result in found if result is not None}))
    assert not [run for run in runs if run in written]


@pytest.mark.parametrize("macro", MACROS)
@settings(max_examples=15)
@given(values=st.lists(st.text(max_size=40), min_size=1, max_size=20))
def test_the_same_in_gives_the_same_out(macro: str, values: list[str]) -> None:
    found = results(macro, [*values, *reversed(values)])
    assert found[: len(values)] == found[len(values) :][::-1]


@pytest.mark.parametrize(
    ("macro", "values"),
    [
        (f'strip_url("value", "{WORDS}")', ["https://h/app/7?q", "app/home/x", "///", "/app:x/home", *HOSTILE[:90]]),
        ("two_digits_of_text('value')", ["1234.5", "-0.16", "99.96", "9.96", "0.04", "995", "1e14", "-7"]),
        ("whole_degrees('value')", ["52.52", "-13.6", "179.6", "0.4"]),
        ("country_code('value')", ["DE", "FR", "XX"]),
        ("normalised('value')", [" Straße\u00a0", "ΑΣ", "i\u0307", "\ufb03", *HOSTILE[:90]]),
    ],
)
def test_a_second_time_changes_nothing(macro: str, values: list[str]) -> None:
    once = results(macro, values)
    assert results(macro, once) == once


def test_coarse_forms_by_hand() -> None:
    numbers = {
        "1234.5": "1200",
        "-987": "-990",
        "9.87": "9.9",
        "0.04": "0",
        "10": "10",
        "nan": None,
        "inf": None,
        "a": None,
    }
    assert dict(zip(numbers, results("two_digits_of_text('value')", numbers), strict=True)) == numbers
    places = {"52.52": "53", "-13.405": "-13", "180.4": None, "Berlin": None}
    assert dict(zip(places, results("whole_degrees('value')", places), strict=True)) == places
    times = {"2026-03-28T10:59:59+02:00": "2026-03-28T08:00:00Z", "1990-05-17": "1990-05-17T00:00:00Z", "noon": None}
    hour = "instant_text(truncated_instant(utc_timestamp('value'), 'hour'))"
    assert dict(zip(times, results(hour, times), strict=True)) == times
    assert (
        json.dumps(results("two_digits_of_integer('value')", [123456, -5, 2**62, None]))
        == "[120000, -5, 4600000000000000000, null]"
    )
    urls = {
        "https://ada:pw@app.example/app/77/home?x=1#y": "/app/:id/home",
        "/app?x\nada@x.example": "/app",
        "https:app": "app",
        "ada@x.example/app": ":id/app",
    }
    assert dict(zip(urls, results(f'strip_url("value", "{WORDS}")', urls), strict=True)) == urls
