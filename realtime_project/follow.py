"""The frames of one connection in a process that does not serve: a shell that watches.

The rule: as everybody who watches, it asks again and again, so that nothing is left behind when it is killed. The
frames come through the channel layer, by a private topic of this process.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from . import control, database, private, registry
from .feeds import Content, Event
from .models import Connection
from .tails import MODE
from .topics import hub

RENEW = 3.0  # seconds between two times that it asks
LASTING = 3 * RENEW  # seconds for which frames are sent without being asked for again

Frame = dict[str, Any]  # see tails.Frame


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


async def follow(connection: str, show: Callable[[list[Frame], int], None]) -> None:
    """Call `show(frames, skipped)` with what passes, until the connection ends or this task is cancelled.

    Raises control.UnknownConnection where it is not open.
    """
    id = uuid.uuid4().hex
    to = private.name_of(private.OUT, private.SERVER, id)
    row = await database.run(_open, connection)
    if row is None:
        raise control.UnknownConnection(f"no open connection has the id {connection!r}")
    private.clients[id] = Shown(show)
    serving = hub()
    serving.start()
    try:
        while found := await database.run(_open, connection):
            await database.run(control.tail, found, to, LASTING)
            await asyncio.sleep(RENEW)
    finally:
        del private.clients[id]
        await database.run(control.tail, row, to, 0)
        serving.close()


def _open(connection: str) -> Connection | None:
    return Connection.objects.filter(pk=connection, server__in=registry.servers()).exclude(mode=MODE).first()
