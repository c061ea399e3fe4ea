"""Who is connected, in the database. One writer a process (register, heartbeat, reap), and the queries.

The rule: only this file writes Server and Connection. Rows are written in batches, once a second; a server lives as
long as it renews its lease, on the database's clock, so one that was killed disappears by itself, and its
connections with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from . import __version__, database, private, revocation
from .models import Connection as ConnectionRow
from .models import Server

logger = logging.getLogger(__name__)

BEAT = 1.0  # seconds between two batches
COUNTERS = 5  # beats between two writes of the counters
COUNTED = ["messages_in", "messages_out", "bytes_in", "bytes_out"]


class UnknownServer(LookupError):
    """No live server has this id."""


class Connection(revocation.Connection, Protocol):
    """What is kept of an open connection."""

    id: str
    channel_id: int
    endpoint: str
    path: str
    mode: str
    client_ip: str
    client_port: int | None
    origin: str | None
    user: Any
    subprotocol: str | None
    connected_at: datetime
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int


# queries --------------------------------------------------------------------------------------------------------
def servers() -> QuerySet[Server]:
    """The servers that are alive, oldest first."""
    return Server.objects.filter(seen_at__gt=_lease_begins()).order_by("started_at", "id")


def endpoints(server: str) -> list[dict[str, str]]:
    """Every WebSocket endpoint of a server: [{"path": "/ws/feed/", "mode": "topic"}]. Raises UnknownServer."""
    found: list[dict[str, str]] = _server(server).endpoints
    return found


def clients(server: str, path: str | None = None) -> QuerySet[ConnectionRow]:
    """The open connections of a server, of one endpoint or concrete path if given. Raises UnknownServer."""
    rows = _server(server).connections.select_related("user").order_by("channel_id")
    return rows.filter(Q(endpoint=path) | Q(path=path)) if path is not None else rows


def _server(server: str) -> Server:
    try:
        return servers().get(pk=server)
    except Server.DoesNotExist:
        alive = ", ".join(servers().values_list("pk", flat=True)) or "none"
        raise UnknownServer(f"no live server has the id {server!r}; alive: {alive}") from None


def _lease_begins() -> Any:
    return Now() - timedelta(seconds=settings.SERVER_LEASE)


# the writer -----------------------------------------------------------------------------------------------------
class Registry:
    """This process's row, and the rows of its connections."""

    def __init__(self) -> None:
        self.server_id = private.SERVER
        self.connections: dict[str, Connection] = {}  # open now
        self._row: Server | None = None  # None until the first request says where this process listens
        self._written: dict[str, int] = {}  # id → the sum of its counters when it was written
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, address: Sequence[Any] | None, endpoints: list[dict[str, str]]) -> bool:
        """Enter this process and begin to beat. False where that was done before, for the same event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return False
        self._loop = loop
        host, port = (address or ("", None))[:2]
        self._row = Server(
            id=self.server_id, host=host, port=port, pid=os.getpid(), version=__version__, endpoints=endpoints
        )
        self._tasks = [loop.create_task(self._beat()), loop.create_task(revocation.watch(self.connections))]
        return True

    def opened(self, connection: Connection) -> None:
        self.connections[connection.id] = connection

    def closed(self, connection: Connection) -> None:
        self.connections.pop(connection.id, None)

    async def leave(self) -> None:
        """This process ends: its row goes at once, and its connections' with it, instead of with the lease."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await database.run(_remove, self.server_id)

    async def _beat(self) -> None:
        beat = 0
        while True:
            try:
                await self._write(counters=beat % COUNTERS == 0)
            except Exception as error:
                logger.warning("the registry cannot be written: %r", error)
            beat += 1
            await asyncio.sleep(BEAT)

    async def _write(self, counters: bool) -> None:
        """Write what changed since the last batch."""
        written = self._written
        now = {id: _sum(connection) for id, connection in self.connections.items()}
        changed = [id for id, count in now.items() if id not in written or (counters and written[id] != count)]
        gone = [id for id in written if id not in now]
        rows = [self._connection_row(self.connections[id]) for id in changed]
        assert self._row
        known = await database.run(_save, self._row, rows, gone, settings.SERVER_LEASE)
        if not known:  # this server was thought dead, its rows are gone: the others are written again next time
            written.clear()
            gone = []
        for id in gone:
            del written[id]
        written.update((id, now[id]) for id in changed)

    def _connection_row(self, connection: Connection) -> ConnectionRow:
        return ConnectionRow(
            id=connection.id,
            server_id=self.server_id,
            channel_id=connection.channel_id,
            endpoint=connection.endpoint[:255],
            path=connection.path[:2048],
            mode=connection.mode,
            client_ip=connection.client_ip[:45],
            client_port=connection.client_port,
            origin=connection.origin and connection.origin[:255],
            user_id=getattr(connection.user, "pk", None),
            subprotocol=connection.subprotocol and connection.subprotocol[:255],
            connected_at=connection.connected_at,
            **{name: getattr(connection, name) for name in COUNTED},
        )


def _sum(connection: Connection) -> int:
    return connection.messages_in + connection.messages_out


def _save(server: Server, rows: list[ConnectionRow], gone: list[str], lease: float) -> bool:
    """One batch. False if this server's row had been reaped: it is entered again."""
    known = bool(Server.objects.filter(pk=server.pk).update(seen_at=Now()))  # by itself: no row may cost the lease
    if not known:
        server.save(force_insert=True)
    try:
        _save_connections(rows, gone)
    except IntegrityError:  # somebody was deleted while connected
        users = get_user_model()._default_manager.filter(pk__in=[row.user_id for row in rows])
        left = set(users.values_list("pk", flat=True))
        for row in rows:
            row.user_id = row.user_id if row.user_id in left else None
        _save_connections(rows, gone)
    dead = Server.objects.filter(seen_at__lt=Now() - timedelta(seconds=lease))
    if dead.exists():
        with transaction.atomic():
            ConnectionRow.objects.filter(server__in=dead).delete()
            dead.delete()
    return known


@transaction.atomic
def _remove(server: str) -> None:
    ConnectionRow.objects.filter(server=server).delete()
    Server.objects.filter(pk=server).delete()


@transaction.atomic
def _save_connections(rows: list[ConnectionRow], gone: list[str]) -> None:
    ConnectionRow.objects.filter(pk__in=gone).delete()
    ConnectionRow.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=COUNTED, batch_size=500
    )


registry = Registry()
