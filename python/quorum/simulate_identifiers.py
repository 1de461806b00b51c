"""Personal data and secrets of many kinds, made up, each in one of the spellings that people and machines use."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Sequence

from quorum.simulate_national_ids import NATIONAL_IDS, digits, grouped, luhn_digit

HEX = string.hexdigits[:16]
NAMES = ("ada.lovelace", "Zoë.Müller", "jean-luc.picard", "maria_garcia", "w.szymborska", "o'brien", "li", "x1977")
HOSTS = (
    "leak.example",
    "mail.leak.example",
    "firma-köln.example",
    "poczta.example",
    "correo.example.org",
    "uni.example.edu",
)


def text_of(rng: random.Random, length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(rng.choices(alphabet, k=length))


def email(rng: random.Random) -> str:
    name, host = f"{rng.choice(NAMES)}{rng.randint(0, 999)}", rng.choice(HOSTS)
    return rng.choice(
        [f"{name}@{host}"] * 6
        + [
            *(f"{name}+news@{host}", f"{name.upper()}@{host.upper()}", f"<{name}@{host}>", f"mailto:{name}@{host}"),
            *(
                f"{name} @ {host}",
                f"{name} (at) {host}",
                f"{name} [at] {host.replace('.', ' [dot] ')}",
                f"{name}＠{host}",
            ),
            *(f"{name}(at){host.replace('.', '(punkt)')}", f"{name} at {host.replace('.', ' dot ')}"),
            *(f"{name}%40{host}", base64.b64encode(f"{name}@{host}".encode()).decode(), f"{name}&#64;{host}"),
        ]
    )


def phone(rng: random.Random) -> str:
    country, national = rng.choice(
        [
            (
                "49",
                rng.choice([f"151 {digits(rng, 7)}", f"30 {digits(rng, 7)}", f"89 {digits(rng, 3)} {digits(rng, 4)}"]),
            ),
            ("33", f"{rng.randint(1, 7)} {grouped(digits(rng, 8), (2, 2, 2, 2))}"),
            ("44", rng.choice([f"20 7946 {digits(rng, 4)}", f"7700 {digits(rng, 6)}", f"161 496 {digits(rng, 4)}"])),
            ("34", f"6{digits(rng, 2)} {grouped(digits(rng, 6), rng.choice([(3, 3), (2, 2, 2)]))}"),
            ("48", f"5{digits(rng, 2)} {grouped(digits(rng, 6), (3, 3))}"),
            ("39", f"347 {digits(rng, 3)} {digits(rng, 4)}"),
            ("1", f"{rng.randint(2, 9)}{digits(rng, 2)} {rng.randint(2, 9)}{digits(rng, 2)} {digits(rng, 4)}"),
        ]
    )
    trunk = "0" if country in ("49", "33", "44") else ""
    spelt = [
        *(f"+{country} {national}", f"+{country}{national.replace(' ', '')}", f"00{country} {national}"),
        *(f"+{country}-{national.replace(' ', '-')}", f"{trunk}{national}", f"{trunk}{national.replace(' ', '')}"),
        *(
            f"{trunk}{national.replace(' ', '-')}",
            f"{trunk}{national.replace(' ', '.')}",
            f"+{country} {national}".replace(" ", "\u00a0"),
        ),
    ]
    if trunk:
        spelt += [
            f"+{country} (0){national}",
            f"({trunk}{national.replace(' ', ') ', 1)}",
            f"{trunk}{national.replace(' ', '/', 1)}",
        ]
    if country == "1":
        spelt += [
            f"({national.replace(' ', ') ', 1).replace(' ', '-').replace(')-', ') ')}",
            f"1-{national.replace(' ', '-')}",
        ]
    return rng.choice(spelt)


def ipv4(rng: random.Random) -> str:
    address = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    return rng.choice([address, address, f"{address}:{rng.randint(1024, 65535)}", f"{address}/32"])


def ipv6(rng: random.Random) -> str:
    groups = [f"{rng.randint(1, 65535):x}" for _ in range(8)]
    return rng.choice(
        [
            *(
                ":".join(groups),
                ":".join(groups).upper(),
                f"2001:db8::{groups[0]}:{groups[1]}",
                f"fe80::{groups[2]}%eth0",
            ),
            *(f"[2001:db8:{groups[3]}::{groups[4]}]:443", f"::ffff:10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.7"),
            *(f"{groups[5]}:{groups[6]}::", f"fd00:{groups[1]}:{groups[2]}:{groups[3]}::1/64"),
        ]
    )


def card(rng: random.Random) -> str:
    prefix, length, groups = rng.choice(
        [
            *[
                ("4", 16, (4, 4, 4, 4)),
                ("51", 16, (4, 4, 4, 4)),
                ("2221", 16, (4, 4, 4, 4)),
                ("6011", 16, (4, 4, 4, 4)),
            ],
            *[("37", 15, (4, 6, 5)), ("36", 14, (4, 6, 4)), ("4", 19, (4, 4, 4, 4, 3))],
        ]
    )
    body = prefix + digits(rng, length - len(prefix) - 1)
    number = body + luhn_digit(body)
    spelt = rng.choice(
        [number, grouped(number, groups), grouped(number, groups), grouped(number, groups).replace(" ", "-")]
    )
    return rng.choice([spelt, spelt, spelt, f"{spelt} {rng.randint(1, 12):02}/27"])


def iban(rng: random.Random) -> str:
    country, bank = rng.choice(
        [
            *[("DE", digits(rng, 18)), ("FR", digits(rng, 23)), ("ES", digits(rng, 20)), ("PL", digits(rng, 24))],
            *[
                ("GB", f"NWBK{digits(rng, 14)}"),
                ("NL", f"ABNA{digits(rng, 10)}"),
                ("IT", f"X{digits(rng, 22)}"),
                ("NO", digits(rng, 11)),
            ],
        ]
    )
    number = "".join(str(int(sign, 36)) for sign in f"{bank}{country}00")
    plain = f"{country}{98 - int(number) % 97:02}{bank}"
    spaced = " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))
    return rng.choice([plain, spaced, spaced, spaced.replace(" ", "-"), plain.lower(), spaced.replace(" ", "\u00a0")])


def coordinates(rng: random.Random) -> str:
    latitude, longitude = rng.uniform(35, 60), rng.uniform(1, 25)
    minutes = (
        f"{int(latitude)}°{rng.randint(0, 59):02}'{rng.randint(0, 59):02}\"N",
        f"{int(longitude)}°{rng.randint(0, 59):02}'{rng.randint(0, 59):02}\"E",
    )
    return rng.choice(
        [
            *(f"{latitude:.5f}, {longitude:.5f}", f"{latitude:.4f},{longitude:.4f}", f"{latitude:.6f} {longitude:.6f}"),
            *(f"{latitude:.5f}; {longitude:.5f}".replace(".", ","), f"lat={latitude:.5f} lon={longitude:.5f}"),
            *(f"{latitude:.4f}° N, {longitude:.4f}° E", " ".join(minutes), ", ".join(minutes)),
        ]
    )


def jwt(rng: random.Random) -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": text_of(rng, 8), "email": f"{text_of(rng, 5)}@leak.example"}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, text_of(rng, 43, string.ascii_letters + string.digits + "-_")])


def private_key(rng: random.Random) -> str:
    name = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    lines = "\n".join(text_of(rng, 64, string.ascii_letters + string.digits + "+/") for _ in range(3))
    return f"-----BEGIN {name}PRIVATE KEY-----\n{lines}\n-----END {name}PRIVATE KEY-----"


def shaped(*shapes: Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    def made(rng: random.Random) -> str:
        return rng.choice(shapes)(rng)

    return made


def userinfo_url(rng: random.Random) -> str:
    scheme: Sequence[str] = ("https", "ftp", "postgresql", "redis")
    return f"{rng.choice(scheme)}://{text_of(rng, 6)}:{text_of(rng, 10)}@db{rng.randint(1, 9)}.leak.example/{text_of(rng, 5)}?u={text_of(rng, 8)}"


IDENTIFIERS: dict[str, Callable[[random.Random], str]] = {
    "email": email,
    "phone": phone,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "mac": lambda rng: rng.choice(":-").join(text_of(rng, 2, HEX) for _ in range(6)),
    "card": card,
    "iban": iban,
    **NATIONAL_IDS,
    "coordinates": coordinates,
    "userinfo url": userinfo_url,
    "jwt": jwt,
    "private key": private_key,
    "aws key": lambda rng: rng.choice(["AKIA", "ASIA"]) + text_of(rng, 16, string.ascii_uppercase + string.digits),
    "github key": shaped(
        lambda rng: f"gh{rng.choice('pousr')}_{text_of(rng, 36)}",
        lambda rng: f"github_pat_{text_of(rng, 22)}_{text_of(rng, 59)}",
    ),
    "stripe key": lambda rng: f"{rng.choice(['sk', 'pk', 'rk'])}_{rng.choice(['live', 'test'])}_{text_of(rng, 24)}",
    "slack key": lambda rng: f"xox{rng.choice('abp')}-{digits(rng, 11)}-{digits(rng, 12)}-{text_of(rng, 24)}",
    "google key": lambda rng: f"AIza{text_of(rng, 35, string.ascii_letters + string.digits + '-_')}",
    "assigned secret": shaped(
        lambda rng: f"api_key={text_of(rng, 12)}",
        lambda rng: f"password: {text_of(rng, 9)}!",
        lambda rng: f"AUTH_TOKEN='{text_of(rng, 15)}'",
        lambda rng: f"Authorization: Bearer {text_of(rng, 30)}",
        lambda rng: f'"secret": "{text_of(rng, 16)}"',
    ),
}
