"""How the users of a simulated world show themselves, and which user ids and devices are one person by the rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from quorum.simulate_world import Flags, Ints, Users

# A device that more users than this sign in on says nothing about who is who.
MAX_USERS_PER_DEVICE = 2

Unit = tuple[str, str, str]  # tenant, `user` or `device`, raw id


@dataclass(frozen=True)
class Appearance:
    """What a session shows of its user."""

    on_phone: Flags
    on_kiosk: Flags
    renamed: Flags
    signs_up: Flags  # and is known by the device until then


def appear(rng: np.random.Generator, users: Users, user: Ints, is_later_half: Flags, joins: Flags) -> Appearance:
    """Say how the user of each session is seen; whoever joins may first look around without an account."""
    on_phone = rng.random(len(user)) < 0.3
    on_kiosk = users.at_kiosk[user] & ~on_phone & (rng.random(len(user)) < 0.4)
    on_own_device = ~on_kiosk & (users.desktop == users.person)[user]
    return Appearance(
        on_phone=on_phone,
        on_kiosk=on_kiosk,
        renamed=users.renamed[user] & is_later_half,
        signs_up=joins & on_own_device & (rng.random(len(user)) < 0.4),
    )


def persons(sightings: Iterable[tuple[str, str | None, str]]) -> dict[Unit, int]:
    """Say which person each user id and device is, of what was seen of tenants: a user id, if any, and a device.

    Users who meet on a device are one person, and so are those whom a chain of devices joins, unless the device has
    too many users. A device of one person is that person; any other is a person of its own.
    """
    users_of: dict[Unit, set[Unit]] = defaultdict(set)
    leader: dict[Unit, Unit] = {}
    for tenant, user_id, device_id in sightings:
        device = (tenant, "device", device_id)
        users_of[device]
        if user_id:
            user = (tenant, "user", user_id)
            users_of[device].add(user)
            leader[user] = user

    def find(user: Unit) -> Unit:
        while leader[user] != user:
            leader[user] = user = leader[leader[user]]
        return user

    joining = {device: users for device, users in users_of.items() if 1 <= len(users) <= MAX_USERS_PER_DEVICE}
    for first, *others in joining.values():
        for other in others:
            one, another = sorted((find(first), find(other)))
            leader[another] = one
    owner = {user: find(user) for user in leader}
    owner |= {device: find(next(iter(joining[device]))) if device in joining else device for device in users_of}
    numbers = {unit: number for number, unit in enumerate(sorted(set(owner.values())))}
    return {unit: numbers[owner[unit]] for unit in sorted(owner)}
