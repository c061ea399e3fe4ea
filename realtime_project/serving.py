"""What a serving process is beside its sockets: its row in the registry, its hub, and the orders that it listens to.

The rule: it begins once an event loop, in one place. Our server begins it when it listens, and ends it when its clients
have left. Under a server that is not ours the first scope begins it, and nothing announces the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from .bans import bans
from .control import Orders
from .figures import counters
from .metrics import Meter, feel_lag
from .registry import Endpoint, registry
from .topics import hub

logger = logging.getLogger(__name__)

GOODBYE = 5.0  # seconds for what apps do beside to come to its end

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Serving:
    """This process, from its begin to its end."""

    def __init__(self) -> None:
        self.companions: list[Callable[[], Coroutine[Any, Any, None]]] = []  # what apps do as long as a process serves
        self.orders: Orders | None = None  # None: not begun
        self._tasks: list[asyncio.Task[None]] = []
        self.draining = False

    def begin(
        self, address: Sequence[Any] | None, endpoints: list[Endpoint], drain: Callable[[], None] | None = None
    ) -> bool:
        """Begin; False where that was done before, for this event loop. `drain` is called when it is ordered."""
        meter = Meter()
        if not registry.start(address, endpoints, lambda: meter.report(self.draining)):
            return False
        hub().start()
        self.orders, self.draining = Orders(registry.server_id, drain), False
        self._tasks = [asyncio.create_task(companion()) for companion in (feel_lag, bans.watch, *self.companions)]
        return True

    def leaving(self) -> None:
        """A drain has begun."""
        self.draining = True

    async def end(self) -> None:
        """Leave the registry."""
        if self.orders:
            self.orders.end()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE)
        await registry.leave()


serving = Serving()


class Served:
    """ASGI middleware, outermost: under a server that is not ours the first request of any kind begins."""

    def __init__(self, app: App, endpoints: list[Endpoint]) -> None:
        self.app, self.endpoints = app, endpoints

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if serving.begin(scope.get("server"), self.endpoints):
            logger.warning(
                "This server is not ours: close codes and reasons, idle and slow clients, empty frames, refusals with "
                "a status and a drain at the end are as it has them. `manage.py serve` has all of it."
            )
        if scope["type"] == "http":
            counters.requests += 1
        await self.app(scope, receive, send)
