"""TailConsumer: the frames of one connection, for staff who may see them, while they watch.

The rule: who watches whom is recorded before the first frame is shown, and whoever loses the permission loses the view.
The frames come by this watcher's own private topic; see realtime_project/tails.py.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

import msgspec
from django.contrib.auth import get_user_model

from realtime_project import control, database, registry
from realtime_project.actions import Target, record
from realtime_project.consumers import Consumer
from realtime_project.models import Connection

logger = logging.getLogger(__name__)

PERMISSION = "realtime_project.tail_connection"
RENEW = 3.0  # seconds between two looks at the permission and the connection
LASTING = 3 * RENEW  # seconds for which frames are sent without being asked for again
FORBIDDEN, GONE, LATER = 4403, 4404, 1013  # close codes


class TailConsumer(Consumer):
    """ws/admin/tail/<connection>/: {"type": "watching"}, then frames as they pass. What a watcher sends is ignored."""

    mode = "tail"
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
                found = await database.run(_look, user, id, to, row is None)
                if isinstance(found, str):
                    self.connection.close_soon(FORBIDDEN if found == "forbidden" else GONE, found)
                    return
                if row is None:
                    self.connection.send_text(msgspec.json.encode({"type": "watching", "connection": id}).decode())
                row = found
                await asyncio.sleep(RENEW)
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


def _look(user: Any, id: str, to: str, first: bool) -> Connection | str:
    """The connection, watched for a while from now; or why it is not: "forbidden" or "gone"."""
    person: Any = get_user_model()._default_manager.filter(pk=user, is_active=True, is_staff=True).first()
    if person is None or not person.has_perm(PERMISSION):
        return "forbidden"
    row = Connection.objects.filter(pk=id, server__in=registry.servers()).exclude(mode=TailConsumer.mode).first()
    if row is None:
        return "gone"
    if first:
        record(person, "Watched its frames", "", [Target(Connection, row.pk, str(row))])
    control.tail(row, to, LASTING)
    return row
