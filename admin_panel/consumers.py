"""DashboardConsumer: pushes the cluster's picture to staff, once a second.

The rule: whoever watches, the picture is taken once a second a process, and not at all while nobody does. Whoever is
staff no longer sees no more of it.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import Any, ClassVar

import msgspec
from django.contrib.auth import get_user_model

from realtime_project import database
from realtime_project.connections import Connection
from realtime_project.consumers import Consumer
from realtime_project.feeds import Event, Run

from . import snapshot
from .snapshot import Reports

logger = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two pictures
PATIENCE = 0.9  # seconds for the database to answer; the picture is then shown without
NO_STAFF = 4403  # close code

Answer = tuple[Reports, set[Any]]  # and the ids of those watchers who are no staff any more


class Dashboard:
    """What the watchers of one event loop share."""

    here: ClassVar[Dashboard | None] = None

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.watchers: dict[Connection, Any] = {}  # and their users' ids
        self._reports = Reports()
        self._asking: asyncio.Future[Answer] | None = None
        self._task: asyncio.Task[None] | None = None

    async def first(self) -> str:
        """The picture with its history."""
        try:
            async with asyncio.timeout(PATIENCE):
                return _text(snapshot.picture(await database.run(snapshot.read, history=True)))
        except Exception as error:
            logger.warning("the dashboard's history cannot be read: %r", error)
            return _text(snapshot.picture(self._reports, answered=False) | {"history": []})

    def enter(self, watcher: Connection, user: Any) -> None:
        self.watchers[watcher] = user
        if self._task is None:
            self._task = self.loop.create_task(self._push(), context=Context())  # no connection's

    def leave(self, watcher: Connection) -> None:
        self.watchers.pop(watcher, None)
        if not self.watchers and self._task:
            self._task.cancel()
            if self._asking:
                self._asking.cancel()  # what it still says would be old for whoever comes next
            self._task = self._asking = None

    async def _push(self) -> None:
        due = self.loop.time()
        while True:
            due = max(due + EVERY, self.loop.time())
            await asyncio.sleep(due - self.loop.time())
            try:
                run = Run([Event(_text(await self._picture()))])
                for watcher in list(self.watchers):
                    watcher.write(run)
            except Exception:
                logger.exception("the dashboard has no picture")

    async def _picture(self) -> snapshot.Json:
        """Ask once, however long the database takes: what it says late is shown then."""
        asking = self._asking
        if asking is None:
            users = set(self.watchers.values())
            asking = self._asking = asyncio.ensure_future(database.run(_ask, users))
        await asyncio.wait([asking], timeout=PATIENCE)
        if not asking.done():
            return snapshot.picture(self._reports, answered=False)
        self._asking = None
        if error := asking.exception():
            logger.warning("the dashboard cannot ask the database: %r", error)
            return snapshot.picture(self._reports, answered=False)
        self._reports, demoted = asking.result()
        for watcher, user in list(self.watchers.items()):
            if user in demoted:
                self.leave(watcher)
                watcher.close_soon(NO_STAFF, "you are not staff any more")
        return snapshot.picture(self._reports)


def dashboard() -> Dashboard:
    """This process's dashboard, for the running loop; another loop replaces it."""
    loop = asyncio.get_running_loop()
    if Dashboard.here is None or Dashboard.here.loop is not loop:
        Dashboard.here = Dashboard()
    return Dashboard.here


class DashboardConsumer(Consumer):
    """ws/dashboard/: one text frame a second, see snapshot.py; the first has the history. Others are refused with 403.

    What a watcher sends is ignored.
    """

    mode = "dashboard"
    max_size: ClassVar[int | None] = 1024

    async def connect(self) -> None:
        user = self.scope["user"]
        if not (user.is_active and user.is_staff):
            await self.close()  # before it is accepted: 403
            return
        await self.accept()
        first = await dashboard().first()
        if not self.connection.closed:
            self.connection.send_text(first)
            dashboard().enter(self.connection, user.pk)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        pass

    async def disconnect(self, code: int) -> None:
        dashboard().leave(self.connection)


def _ask(users: set[Any]) -> Answer:
    people = get_user_model()._default_manager.filter(pk__in=users, is_active=True, is_staff=True)
    return snapshot.read(), users - set(people.values_list("pk", flat=True))


def _text(picture: snapshot.Json) -> str:
    return msgspec.json.encode(picture).decode()
