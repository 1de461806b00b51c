"""Of an event's properties only the listed ones pass, each in the form of its class, however it is wrapped."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.redaction.expressions import results
from tests.redaction.hostile import HOSTILE

DECISIONS = {
    "flag": "flag keep",
    "plan": "label keep_listed",
    "items": "quantity keep",
    "total": "amount coarsen",
    "lat": "geography coarsen",
    "country": "geography keep",
    "at": "time coarsen",
    "born": "time generalise",
    "link": "url strip",
    "from": "url generalise",
    "ip": "ip_address truncate",
    "agent": "user_agent generalise",
    "owner": "identifier tokenise",
    "mail": "email tokenise",
    "mail_class": "email generalise",
    "phone": "phone tokenise",
    "phone_country": "phone generalise",
    "note": "free_text scrub",
    "address.country": "geography keep",
    "address.of.ip": "ip_address truncate",
}
CANARY = "Zorqux"
# a value that passes in some form, and the form; tokens by their shape
PASSING = {
    "flag": (True, "true"),
    "plan": ("pro", '"pro"'),
    "items": (12, "12"),
    "total": (1234.5, "1200"),
    "lat": (52.52, "53"),
    "country": ("DE", '"DE"'),
    "at": ("2026-03-28T10:11:12Z", '"2026-03-28T10:00:00Z"'),
    "born": ("1990-05-17T08:00:00Z", '"1990-05-17T00:00:00Z"'),
    "link": (f"https://{CANARY}@h/app/{CANARY}?q", '"/app/:id"'),
    "from": (f"https://www.google.com/?q={CANARY}", '"search"'),
    "ip": ("203.0.113.77", '"203.0.113/24"'),
    "agent": (f"Firefox/1 {CANARY}", '"firefox"'),
    "mail_class": (f"{CANARY}@gmail.com", '"free_mail"'),
    "phone_country": ("+49 151 2345678", '"+49"'),
    "note": (f"write to {CANARY}@x.example or +49 151 2345678", '"write to [email] or [phone]"'),
}


def rules(decisions: dict[str, str]) -> str:
    packed = ", ".join(
        f"struct_pack(property := '{name}', class := '{cls}', words := ['pro', 'app'], action := '{action}')"
        for name, (cls, action) in ((name, decision.split()) for name, decision in decisions.items())
    )
    return f"property_rules({json.dumps(f'[{packed}]')})"


def passed(events: list[Any], decisions: dict[str, str] = DECISIONS) -> list[str]:
    texts = [event if isinstance(event, str) or event is None else json.dumps(event) for event in events]
    return results(f"allow_listed_json('value', {rules(decisions)})", texts)


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WRAPPERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "base64": base64_of,
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "json": json.dumps,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64 of percent": lambda text: base64_of(quote(text, safe="")),
    "percent of base64": lambda text: quote(base64_of(text), safe=""),
    "base64 twice": lambda text: base64_of(base64_of(text)),
    "json of json": lambda text: json.dumps(json.dumps(text)),
}
ALL_TEXTS = {name: value for name, (value, _) in PASSING.items() if isinstance(value, str) and len(value) > 6}


def test_each_class_has_its_form() -> None:
    (found,) = passed([{name: value for name, (value, _) in PASSING.items()}])
    assert found == "{" + ",".join(f'"{name}":{form}' for name, (_, form) in PASSING.items()) + "}"


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_value_is_judged_by_what_it_says_and_not_by_how_it_is_wrapped(wrapper: str) -> None:
    wrapped = {name: WRAPPERS[wrapper](value) for name, value in ALL_TEXTS.items()}
    (found,) = passed([wrapped])
    assert json.loads(found) == {name: json.loads(PASSING[name][1]) for name in ALL_TEXTS}


def test_what_is_wrapped_too_often_is_dropped() -> None:
    def four_times(text: str) -> str:
        return base64_of(base64_of(base64_of(base64_of(text))))

    assert passed([{name: four_times(value) for name, value in ALL_TEXTS.items()}]) == ["{}"]


def test_a_person_has_one_token_however_it_is_wrapped() -> None:
    events = [{name: wrap(f"{CANARY}@gmail.com") for name in ("owner", "mail")} for wrap in WRAPPERS.values()]
    (found,) = {*passed(events)}
    owner, mail = json.loads(found).values()
    assert owner != mail[:32]
    assert mail[32:] == ":free_mail"


def test_a_nested_value_is_found_in_objects_in_texts_and_under_a_dotted_key() -> None:
    inner = {"country": "FR", "of": {"ip": "203.0.113.7", "name": CANARY}}
    dotted = {"address.country": "FR", "address.of.ip": "203.0.113.7"}
    events = [
        {"address": inner},
        {"address": json.dumps(inner)},
        {"address": base64_of(json.dumps(inner))},
        {"address": {"country": "FR", "of": quote(json.dumps(inner["of"]))}},
        dotted,
    ]
    assert {*passed(events)} == {'{"address.country":"FR","address.of.ip":"203.0.113/24"}'}


def test_an_object_or_a_list_is_no_value() -> None:
    events = [dict.fromkeys(DECISIONS, shape) for shape in ({"a": CANARY}, [CANARY], [[CANARY]])]
    assert not [found for found in passed(events) if CANARY in found]
    assert passed([{"note": {"a": CANARY}}, {"note": json.dumps([CANARY])}]) == ["{}", "{}"]


def test_odd_names_of_properties_find_nothing_and_break_nothing() -> None:
    odd = dict.fromkeys(
        ("*", "a*", 'a"', "a\\", "", ".", "a.", "..", "$", "$.plan", "[0]", "plan[0]", "#", "/plan", "größe"),
        "label keep",
    )
    events = [{"plan": "pro"}, dict.fromkeys(odd, "pro"), "[]", "{bad", None]
    assert passed(events, odd) == [
        "{}",
        '{".":"pro","a.":"pro","..":"pro","$":"pro","$.plan":"pro","[0]":"pro","plan[0]":"pro","#":"pro","/plan":"pro","größe":"pro"}',
        "{}",
        "{}",
        "{}",
    ]


def test_a_class_without_such_an_action_drops() -> None:
    undecided = {
        "a": "free_text keep",
        "b": "identifier keep",
        "c": "email keep",
        "d": "amount keep",
        "e": "nonsense keep",
        "f": "label drop",
    }
    assert passed([dict.fromkeys(undecided, "pro")], undecided) == ["{}"]


def test_no_value_breaks_it() -> None:
    short = [dict.fromkeys(DECISIONS, value) for value in HOSTILE if len(value) < 10_000]
    long = [{name: value} for value in HOSTILE if len(value) >= 10_000 for name in ("plan", "mail", "note", "link")]
    found = passed([*short, *long, *HOSTILE])
    assert all(isinstance(json.loads(text), dict) for text in found)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.just(CANARY), st.text(max_size=8)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*DECISIONS, CANARY, "address", "of"]), inner, max_size=4),
        st.tuples(inner, st.sampled_from([*WRAPPERS.values()])).map(lambda pair: pair[1](json.dumps(pair[0]))),
        st.sampled_from([*WRAPPERS.values()]).map(lambda wrap: wrap(f"{CANARY} {CANARY}@x.example")),
    ),
    max_leaves=12,
)
STRICT = {name: decision for name, decision in DECISIONS.items() if decision != "free_text scrub"}


@settings(max_examples=5)
@given(st.lists(st.dictionaries(st.sampled_from([*DECISIONS, "address"]), JSON, max_size=6), min_size=20, max_size=60))
def test_no_text_of_the_input_shines_through(events: list[dict[str, Any]]) -> None:
    encodings = {wrap(CANARY).strip('"\\') for wrap in WRAPPERS.values()}
    written = "\n".join(passed(events, STRICT))
    assert not [secret for secret in encodings if secret.lower() in written.lower()]
