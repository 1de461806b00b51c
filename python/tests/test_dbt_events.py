from typing import Any

import pytest
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager_client import get_event_manager
from dbt_common.events.functions import fire_event
from dbt_common.events.types import Note
from dbt_common.exceptions import EventCompilationError

from quorum.dbt_events import silence_debugging


def test_all_is_told_but_what_is_for_debugging() -> None:
    silence_debugging()
    heard: list[Any] = []
    get_event_manager().add_callback(heard.append)
    for level in EventLevel:
        fire_event(Note(msg=level.value), level=level)
    assert [event.info.msg for event in heard] == ["info", "warn", "error"]


def test_what_counts_as_a_warning_is_an_error_at_any_level() -> None:
    silence_debugging()
    get_event_manager().warn_error = True
    with pytest.raises(EventCompilationError):
        fire_event(Note(msg="told"), level=EventLevel.DEBUG, force_warn_or_error_handling=True)
