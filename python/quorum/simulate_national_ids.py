"""National identity numbers, made up, with the check digits that they have."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence


def digits(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(string.digits, k=length))


def grouped(number: str, lengths: Sequence[int], between: str = " ") -> str:
    parts, start = [], 0
    for length in lengths:
        parts.append(number[start : start + length])
        start += length
    return between.join(parts)


def luhn_digit(body: str) -> str:
    """Return the digit that makes a card number of these."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 - place % 2)
        total += doubled - 9 * (doubled > 9)
    return str(-total % 10)


def born(rng: random.Random) -> str:
    """Return a date of birth of the last century, as six digits."""
    return f"{rng.randint(30, 99):02}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"


def social_security_number(rng: random.Random) -> str:
    area = rng.choice([number for number in range(1, 900) if number != 666])
    number = f"{area:03}-{rng.randint(1, 99):02}-{rng.randint(1, 9999):04}"
    return rng.choice([number, number, number.replace("-", " "), f"SSN {number.replace('-', '')}"])


def national_insurance_number(rng: random.Random) -> str:
    letters = rng.choice(["AB", "CE", "JK", "SC", "ZW"])
    number = f"{letters} {grouped(digits(rng, 6), (2, 2, 2))} {rng.choice('ABCD')}"
    return rng.choice([number, number.replace(" ", ""), number.lower()])


def spanish_letter(number: str) -> str:
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def dni(rng: random.Random) -> str:
    number = digits(rng, 8)
    letter = spanish_letter(number)
    dotted = grouped(number, (2, 3, 3), ".")
    return rng.choice([f"{number}{letter}", f"{number}-{letter}", f"{dotted}-{letter}", f"{number} {letter}".lower()])


def nie(rng: random.Random) -> str:
    first, number = rng.randint(0, 2), digits(rng, 7)
    letter = spanish_letter(f"{first}{number}")
    return rng.choice([f"{'XYZ'[first]}{number}{letter}", f"{'XYZ'[first]}-{number}-{letter}"])


def nir(rng: random.Random) -> str:
    place = rng.choice([f"{rng.randint(1, 95):02}", "2A", "2B"])
    if place == "20":
        place = "21"
    body = f"{rng.randint(1, 2)}{rng.randint(30, 99):02}{rng.randint(1, 12):02}{place}{digits(rng, 6)}"
    key = 97 - int(body.replace("2A", "19").replace("2B", "18")) % 97
    number = f"{body}{key:02}"
    return rng.choice([number, grouped(number, (1, 2, 2, 2, 3, 3, 2)), grouped(body, (1, 2, 2, 2, 3, 3))])


def codice_fiscale(rng: random.Random) -> str:
    letters = string.ascii_uppercase
    number = (
        f"{''.join(rng.choices(letters, k=6))}{digits(rng, 2)}{rng.choice('ABCDEHLMPRST')}{rng.randint(1, 71):02}"
        f"{rng.choice('ABCDEFGHIL')}{digits(rng, 3)}{rng.choice(letters)}"
    )
    return rng.choice([number, number.lower(), grouped(number, (3, 3, 5, 5))])


def steuer_id(rng: random.Random) -> str:
    """Return ten digits of which one comes twice, the first of them no zero, and the check digit."""
    first = rng.randint(1, 9)
    rest = [digit for digit in range(10) if digit != first]
    rng.shuffle(rest)
    body = [first, *rest[:8]]
    body.insert(rng.randint(1, 9), rng.choice(body))
    product = 10
    for digit in body:
        product = ((digit + product) % 10 or 10) * 2 % 11
    number = "".join(map(str, [*body, (11 - product) % 10]))
    return rng.choice([number, grouped(number, (2, 3, 3, 3))])


def pesel(rng: random.Random) -> str:
    body = born(rng) + digits(rng, 4)
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    return f"{body}{-sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 10}"


def cpf(rng: random.Random) -> str:
    number = digits(rng, 9)
    for length in (9, 10):
        number += str(sum(int(digit) * (length + 1 - place) for place, digit in enumerate(number)) * 10 % 11 % 10)
    dotted = f"{grouped(number[:9], (3, 3, 3), '.')}-{number[9:]}"
    return rng.choice([number, dotted, dotted])


def belgian_number(rng: random.Random) -> str:
    body = born(rng) + f"{rng.randint(1, 997):03}"
    number = f"{body}{97 - int(body) % 97:02}"
    return rng.choice([number, f"{grouped(number[:6], (2, 2, 2), '.')}-{number[6:9]}.{number[9:]}"])


def swedish_number(rng: random.Random) -> str:
    body = born(rng) + digits(rng, 3)
    number = f"{body[:6]}-{body[6:]}{luhn_digit(body)}"
    return rng.choice([number, f"19{number}"])


NATIONAL_IDS: dict[str, Callable[[random.Random], str]] = {
    "US social security number": social_security_number,
    "UK national insurance number": national_insurance_number,
    "ES DNI": dni,
    "ES NIE": nie,
    "FR NIR": nir,
    "IT codice fiscale": codice_fiscale,
    "DE Steuer-ID": steuer_id,
    "PL PESEL": pesel,
    "BR CPF": cpf,
    "BE national number": belgian_number,
    "SE personnummer": swedish_number,
}
