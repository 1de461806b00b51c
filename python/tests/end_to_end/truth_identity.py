"""Who is one person, worked out from the raw events of a tenant: plainly, and with nothing of the package in it."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

Unit = tuple[str, str]  # ("user", its id) or ("device", its id)
Person = Unit


@dataclass(frozen=True)
class Link:
    """An event that named both a user and a device."""

    user: str
    device: str
    occurred_at: datetime


class Persons:
    """The persons of one tenant, and whose a unit was at an instant."""

    def __init__(self, links: Iterable[Link], users_per_device: int, users_per_person: int) -> None:
        links = sorted(links, key=lambda link: (link.occurred_at, link.user))
        users_of: dict[str, set[str]] = defaultdict(set)
        for link in links:
            users_of[link.device].add(link.user)
        groups = {link.user: {link.user} for link in links}
        for users in users_of.values():
            if len(users) <= users_per_device:
                joined = set().union(*(groups[user] for user in users))
                groups.update(dict.fromkeys(joined, joined))
        first_seen = list(dict.fromkeys(link.user for link in links))
        self._person: dict[Unit, Person] = {}
        for user, group in groups.items():
            torn = len(group) > users_per_person
            first = user if torn else next(each for each in first_seen if each in group)
            self._person["user", user] = ("user", first)
        self._sign_ins: dict[str, list[tuple[datetime, Person]]] = defaultdict(list)
        for device, users in users_of.items():
            persons = {self._person["user", user] for user in users}
            if len(users) <= users_per_device and len(persons) == 1:
                self._person["device", device] = persons.pop()
        seen = set()
        for link in links:
            day = (link.device, link.user, link.occurred_at.date())
            if ("device", link.device) not in self._person and day not in seen:
                seen.add(day)
                self._sign_ins[link.device].append((link.occurred_at, self._person["user", link.user]))

    def of(self, unit: Unit, at: datetime) -> Person:
        """Return the person that a unit stands for at an instant."""
        kind, name = unit
        sign_ins = self._sign_ins.get(name, []) if kind == "device" else []
        begun = bisect_right(sign_ins, at, key=lambda sign_in: sign_in[0])
        return sign_ins[begun - 1][1] if begun else self._person.get(unit, unit)
