"""TailConsumer: the frames of one connection, for staff who may see them, while they watch.

The rule: who watches whom is recorded before the first frame is shown, and whoever loses the permission loses the view.
The frames come by this watcher's own private topic; see realtime_project/tails.py.
"""

from __future__ import annotations

import asyncio
import logging
from typing import ClassVar

import msgspec
from django.core.exceptions import PermissionDenied

from realtime_project import control, database, follow, tails
from realtime_project.consumers import Consumer
from realtime_project.models import Connection

logger = logging.getLogger(__name__)

FORBIDDEN, GONE, LATER = 4403, 4404, 1013  # close codes


class TailConsumer(Consumer):
    """ws/admin/tail/<connection>/: {"type": "watching"}, then frames as they pass. What a watcher sends is ignored."""

    mode = tails.MODE
    max_size: ClassVar[int | None] = 1024
    _watching: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()  # first: a browser cannot read why a handshake was refused
        self._watching = asyncio.create_task(self._watch(self.scope["url_route"]["kwargs"]["connection"]))

    async def _watch(self, id: str) -> None:
        user, to = self.scope["user"].pk, self.connection.topic_out.name
        row: Connection | None = None
        try:
            while True:
                found = await database.run(follow.look, user, id, to, first=row is None)
                if row is None:
                    self.connection.send_text(msgspec.json.encode({"type": "watching", "connection": id}).decode())
                row = found
                await asyncio.sleep(follow.RENEW)
        except PermissionDenied:
            self.connection.close_soon(FORBIDDEN, "forbidden")
        except control.UnknownConnection:
            self.connection.close_soon(GONE, "gone")
        except Exception as error:
            logger.warning("connection %s cannot be watched: %r", id, error)
            self.connection.close_soon(LATER, "try again later")
        finally:
            if row:
                await database.run(control.tail, row, to, 0)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        pass

    async def disconnect(self, code: int) -> None:
        if self._watching:
            self._watching.cancel()
