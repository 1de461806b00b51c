"""What dbt tells while it works, as far as anybody here listens.

It is not part of ``runner`` because dbt takes a second to import.
"""

from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager

UNHEARD = (EventLevel.DEBUG, EventLevel.TEST)


def silence_debugging() -> None:
    """Let dbt make no message of what is told for debugging, for the rest of the process.

    It makes one of each event, of every statement and connection for instance, before it asks who wants it: a
    fifteenth of the time of a small night.
    """
    ctx_set_event_manager(_Terse())


class _Terse(EventManager):  # type: ignore[misc]  # dbt is not typed
    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        if force_warn_or_error_handling or (level or e.level_tag()) not in UNHEARD:
            super().fire_event(e, level, node, force_warn_or_error_handling)
