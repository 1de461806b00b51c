"""Whom to forget: the spellings of an id that are one person, their tokens, and what is kept of them afterwards.

A subject is an HMAC under the workspace's erasure key. It recognises rows that arrive late, and does not say whose
they are.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb
from jinja2 import Environment

from quorum import settings
from quorum.errors import BadInput
from quorum.tenant_keys import TenantKeys

USER = "user"
DEVICE = "anonymous"
TENANT = "tenant"

# Beside what stands here, an id in a text is another one, or a part of one.
_WITHIN = r"[\pL\pN_.@+-]"


@dataclass(frozen=True)
class Person:
    """A user or a device of one tenant, as formats that fold case know it and as those that do not."""

    kind: str
    given: str = field(repr=False)
    folded: str = field(repr=False)
    exact: str = field(repr=False)

    def spelling(self, *, is_exact: bool) -> str:
        return self.exact if is_exact else self.folded


@cache
def _macros() -> Any:
    path = settings.project_directory() / "macros" / "cross_db" / "text.sql"
    return Environment(extensions=["jinja2.ext.do"], autoescape=False).from_string(path.read_text("utf-8")).module  # noqa: S701


def normalised(value: str, *, case_matters: bool) -> str:
    """Return the SQL expression of the macro that redaction goes by: a copy of it here could come to differ."""
    return str(_macros().duckdb__normalised(value, case_matters)).strip()


def persons(kind: str, given: Iterable[str]) -> list[Person]:
    """Normalise ids as the macros do."""
    with duckdb.connect() as connection:
        found = []
        for each in dict.fromkeys(given):
            query = f"select {normalised('$1', case_matters=False)}, {normalised('$1', case_matters=True)}"
            [(folded, exact)] = connection.execute(query, [each]).fetchall()
            if not exact:
                raise BadInput(f"a blank {kind} id names nobody")
            found.append(Person(kind, each, folded, exact))
    return found


def spelt(column: str, is_exact: str) -> str:
    """Return an SQL expression: an id as its format knows it. Both arguments are expressions."""
    exact, folded = (normalised(column, case_matters=matters) for matters in (True, False))
    return f"case when {is_exact} then {exact} else {folded} end"


def token(keys: TenantKeys, kind: str, spelling: str) -> str:
    """Return the pseudonym that the macro `tokenise` gives, in the tenant's present epoch."""
    message = f"{kind}:{spelling}"
    for key in keys.pseudonym_keys:
        message = hmac.new(key, message.encode(), hashlib.sha256).hexdigest()[:32]
    return message


def of_tenant(key: bytes, tenant_id: str) -> str:
    """Return what a tenant is known by when it was erased, or anybody of it."""
    return _hmac(key, f"{TENANT}:{tenant_id}")


def of_person(key: bytes, tenant_id: str, kind: str, spelling: str, *, is_exact: bool) -> str:
    """Return what an erased person is known by."""
    return _hmac(key, f"{kind}{'_exact' if is_exact else ''}:{len(tenant_id)}:{tenant_id}:{spelling}")


def of_people(key: bytes, tenant_id: str, people: Iterable[Person]) -> set[str]:
    """Return what erased people are known by, for formats of either kind."""
    return {
        of_person(key, tenant_id, each.kind, each.spelling(is_exact=exact), is_exact=exact)
        for each in people
        for exact in (False, True)
    }


def pattern(ids: Iterable[str]) -> str:
    """Return a regular expression of RE2 that finds any of the ids as a value of its own, in JSON or out of it."""
    spellings = {form for each in ids for form in (each, json.dumps(each)[1:-1])}
    quoted = "|".join(re.escape(spelling) for spelling in sorted(spellings))
    return f"(?i)(?:^|[^{_WITHIN[1:-1]}])(?:{quoted})(?:$|[^{_WITHIN[1:-1]}])"


def _hmac(key: bytes, message: str) -> str:
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()
