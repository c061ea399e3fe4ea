"""Whose look at a client's frames it is: who may, that it is recorded, and the look itself in a shell.

The rule: a look has somebody's name. It is recorded before the first frame is shown, whoever watches asks again and
again, and who loses the permission loses the view. Nothing is left behind where a watcher is killed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied

from . import control, database, private, registry
from .feeds import Content, Event
from .models import Connection
from .record import record, target_of
from .tails import MODE
from .topics import hub

PERMISSION = "realtime_project.tail_connection"
RENEW = 3.0  # seconds between two looks at the permission and the connection
LASTING = 3 * RENEW  # seconds for which frames are sent without being asked for again

Frame = dict[str, Any]  # see tails.Frame


def look(user: Any, connection: str, to: str, how: str = "", first: bool = False) -> Connection:
    """Have a connection's frames shown to the private topic `to` for a while, as the look of a user, by primary key.

    how: more about the look, for the record ("from a shell"). first: record it. Raises PermissionDenied, or
    control.UnknownConnection where it is not open.
    """
    person: Any = get_user_model()._default_manager.filter(pk=user, is_active=True, is_staff=True).first()
    if person is None or not person.has_perm(PERMISSION):
        raise PermissionDenied("only active staff with the permission tail_connection may watch frames")
    row = Connection.objects.filter(pk=connection, server__in=registry.servers()).exclude(mode=MODE).first()
    if row is None:
        raise control.UnknownConnection(f"no open connection has the id {connection!r}")
    if first:
        record(person, f"Watched its frames {how}".strip(), "", [target_of(row)])
    control.tail(row, to, LASTING, f"{person.get_username()} {how}".strip())
    return row


class Shown:
    """A client of this process' private topics: it hands on what comes."""

    def __init__(self, show: Callable[[list[Frame], int], None]) -> None:
        self._show = show

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            message = msgspec.json.decode(event.content)
            self._show(message["frames"], message["skipped"])

    def take(self, contents: Sequence[Content]) -> None:
        """Nobody sends it anything."""


async def follow(user: Any, connection: str, how: str, show: Callable[[list[Frame], int], None]) -> None:
    """Call `show(frames, skipped)` with what passes, until the connection ends or this task is cancelled.

    For a process that does not serve: frames come through the channel layer, by a private topic of its own. Raises
    control.UnknownConnection where it is not open now, and PermissionDenied, also later.
    """
    id = uuid.uuid4().hex
    to = private.name_of(private.OUT, private.SERVER, id)
    row: Connection | None = None
    private.clients[id] = Shown(show)
    serving = hub()
    serving.start()
    try:
        while True:
            row = await database.run(look, user, connection, to, how, row is None)
            await asyncio.sleep(RENEW)
    except control.UnknownConnection:
        if row is None:
            raise
    finally:
        del private.clients[id]
        if row:
            await database.run(control.tail, row, to, 0)
        serving.close()
