"""Free texts in five languages with personal data and secrets in them whose place is known, and texts that only look so."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quorum.simulate_identifiers import IDENTIFIERS


@dataclass(frozen=True)
class Text:
    """What was written, and what in it a scrub must not leave; ``kind`` is empty where there is nothing."""

    language: str
    text: str
    kind: str = ""
    value: str = ""

    @property
    def carrier(self) -> str:
        return self.text.replace(self.value, "") if self.value else self.text


def remains(written: Text, scrubbed: str) -> bool:
    """Return whether four signs of the value in a row are still there, spaced or not, and not in what stands around it."""
    value, carrier, left = (
        re.sub(r"[\W_]", "", text).lower()
        for text in (written.value, written.carrier, re.sub(r"\[[a-z]+\]", " ", scrubbed))
    )
    runs = {value[start : start + 4] for start in range(len(value) - 3)}
    return any(run in left and run not in carrier for run in runs)


# What people write around a value, with its name ({noun}) and without.
CARRIERS = {
    "en": (
        "Please update my {noun}: {value}. Thanks!",
        "hi, {value} is mine, the old one no longer works",
        "I already told your colleague {value} on Monday",
        "My {noun} is {value} and I am waiting for 3 days now.",
        "{value}",
        "Customer said ({value}), call closed at 14:05",
        "export failed 2 times,{value},please check",
    ),
    "de": (
        "Bitte ändern Sie meine Daten, {noun}: {value}. Danke!",
        "Hallo, {value} gehört mir, das alte geht nicht mehr",
        "Ich habe {value} am 05.03.2026 schon durchgegeben",
        "{noun} lautet {value} und ich warte seit 3 Tagen.",
        "Kundin nannte ({value}), Gespräch um 14:05 beendet",
    ),
    "fr": (
        "Merci de mettre à jour, {noun} : {value}.",
        "Bonjour, {value} est à moi, l'ancien ne marche plus",
        "J'ai déjà donné {value} à votre collègue lundi",
        "Voici mon {noun} {value}, j'attends depuis 3 jours",
        "Le client a dit « {value} » à 14h05",
    ),
    "es": (
        "Por favor, actualicen mi {noun}: {value}. ¡Gracias!",
        "Hola, {value} es mío, el antiguo ya no funciona",
        "Ya le di {value} a su compañero el lunes",
        "Mi {noun} es {value} y espero desde hace 3 días.",
        "¿Pueden comprobar {value}?",
    ),
    "pl": (
        "Proszę zmienić moje dane, {noun}: {value}. Dziękuję!",
        "Cześć, {value} należy do mnie, stary już nie działa",
        "Podałem już {value} w poniedziałek",
        "Mój {noun} to {value} i czekam od 3 dni.",
        "Klientka podała „{value}”, rozmowa do 14:05",
    ),
}
NOUNS = {
    "en": {"email": "e-mail", "phone": "number", "card": "card", "iban": "bank account", "": "details"},
    "de": {"email": "E-Mail", "phone": "Rufnummer", "card": "Karte", "iban": "Konto", "": "Angabe"},
    "fr": {"email": "courriel", "phone": "numéro", "card": "carte", "iban": "compte", "": "code"},
    "es": {"email": "correo", "phone": "número", "card": "tarjeta", "iban": "cuenta", "": "dato"},
    "pl": {"email": "adres", "phone": "numer", "card": "karta", "iban": "rachunek", "": "wpis"},
}

# Numbers that name nobody: orders, versions, dates, prices, sizes. `#` is a digit, `@` a digit that is not zero.
HARMLESS = (
    *(
        "order #@#####",
        "order A-2026-0####",
        "ORD-@#######",
        "invoice 2026/0####",
        "ticket PROJ-@###",
        "Rechnung Nr. @####",
    ),
    *("version @.#.##", "v@.##.#-rc@", "Chrome @##.#.####.##", "build @####", "Python 3.1@", "release 2026.0@.1"),
    *(
        "on 2026-03-@#",
        "am @.03.2026",
        "le 1@/03/2026",
        "03/@#/2026 at 1#:@#",
        "2026-03-1#T1#:2#:3#Z",
        "w 2026 roku o 1@:1#",
    ),
    *("@.###,## €", "$@,###.##", "@# ### zł", "@#,##%", "£@##.##", "CHF @'###.##", "@.###.### Euro", "1@ 4## 2## USD"),
    *(
        "@#:@# min",
        "@## km",
        "@.## m x @.## m",
        "room @##",
        "page @## of @##",
        "@##x@## px",
        "score @:#",
        "24/7",
        "1/@",
    ),
    *(
        "std::vector<int>",
        "5 * (@ + #)",
        "a[@#] = 0x@#",
        "SKU @####",
        "port 80##",
        "error 50@",
        "@## items",
        "zip @####",
    ),
    *("order @########", "order @#########", "parcel @###########", "tracking @#################", "batch @.#.@.#"),
    *("gate B@#", "lat was slow", "key point no. @", "see section @.#.#", "C++@#", "ratio 16:9", "@#°C", "10^@ rows"),
    *("epoch 17746920@####", "tracking 1Z999AA1@#", "ISBN 978-3-16-14841@-0", "row @######", "@###### events"),
)
SMALL_TALK = {
    "en": "The export from the dashboard is slow, {}; could you have a look?",
    "de": "Der Export aus der Übersicht ist langsam, {}; können Sie nachsehen?",
    "fr": "L'export du tableau de bord est lent, {} ; pourriez-vous regarder ?",
    "es": "La exportación del panel es lenta, {}; ¿pueden mirarlo?",
    "pl": "Eksport z pulpitu jest wolny, {}; czy możecie sprawdzić?",
}


def texts(count: int, seed: int) -> Iterator[Text]:
    """Yield as many texts with a value in each, every kind as often as any other."""
    rng = random.Random(seed)  # noqa: S311  # texts for tests, not secrets
    kinds: list[tuple[str, Callable[[random.Random], str]]] = list(IDENTIFIERS.items())
    for number in range(count):
        kind, made = kinds[number % len(kinds)]
        language = rng.choice(list(CARRIERS))
        value = made(rng)
        noun = NOUNS[language].get(kind, NOUNS[language][""])
        yield Text(language, rng.choice(CARRIERS[language]).format(noun=noun, value=value), kind, value)


def harmless_texts(count: int, seed: int) -> Iterator[Text]:
    """Yield as many texts with nothing to hide, numbers all over."""
    rng = random.Random(seed)  # noqa: S311
    for number in range(count):
        language = rng.choice(list(SMALL_TALK))
        filled = "".join(
            str(rng.randint(sign == "@", 9)) if sign in "#@" else sign for sign in HARMLESS[number % len(HARMLESS)]
        )
        yield Text(language, SMALL_TALK[language].format(filled))
