"""Daphne, finished: a server that keeps its promises to every connection, and says goodbye before it leaves.

The rule: what happens is acted on when it happens. An application that fails is noticed at once, a signal begins a
drain, and every limit stands in `Limits`. Needs no Django: `Server(application=echo, endpoints=[…]).run()` serves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from . import turns  # noqa: F401  # first: it makes the event loop, where Daphne would make another

# isort: split
from daphne.server import Server as DaphneServer
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import serverFromString
from twisted.logger import STDLibLogObserver, globalLogBeginner

from .crowd import Crowd
from .frames import EXTENSION
from .http_wire import Channels
from .inbox import Inbox
from .lanes import Flusher
from .limits import Limits
from .wire import Wire, WireFactory

reactor: Any = _reactor
logger = logging.getLogger(__name__)

LOOK = 0.25  # seconds between two looks at what is idle or overdue
BACKLOG = 4096  # clients that wait to be accepted, as far as the system allows; Twisted's 50 are few when all come back
SPARE = 64  # descriptors that new clients may not have: databases and logs need some
LAST_WORDS = 1.0  # seconds that what must finish gets, even when the clients have used up the drain

Hook = Callable[[], Awaitable[None] | None]


class Server(DaphneServer):  # type: ignore[misc]
    """Takes all of Daphne's options. `on_start`, `on_drain` and `on_stop` run in the loop that serves:
    once it listens, when it begins to leave, and when its clients have left."""

    def __init__(
        self,
        application: Any,
        endpoints: list[str] | None = None,
        *,
        limits: Limits | None = None,
        on_start: Hook | None = None,
        on_drain: Hook | None = None,
        on_stop: Hook | None = None,
        websocket_connect_timeout: float = 20,
        **options: Any,
    ) -> None:
        super().__init__(application, endpoints, websocket_connect_timeout=websocket_connect_timeout, **options)
        self.limits = limits or Limits()
        self.on_start, self.on_drain, self.on_stop = on_start, on_drain, on_stop
        self.connections: dict[Any, dict[str, Any]] = {}
        self._crowd: Crowd[Any] = Crowd()  # the same
        self.ports: list[Any] = []
        self.draining = False
        self.refused_at = 0.0
        self.last_descriptor = 0
        self.running, self.left = threading.Event(), threading.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    # life -----------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Serve until a signal; then drain. `abort_start` is True afterwards if it could not listen."""
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        asyncio.set_event_loop(self.loop)
        self.loop.set_debug(self.verbosity >= 3)
        self.flusher = Flusher(self.loop)
        self.http_factory = Channels(self)
        self.ws_factory = WireFactory(self, server=self.server_name)
        self.ws_factory.setProtocolOptions(
            allowNullOrigin=True,
            autoPingInterval=0,
            closeHandshakeTimeout=0,
            echoCloseCodeReason=True,
            maxFramePayloadSize=self.limits.max_message,
            maxMessagePayloadSize=self.limits.max_message,
            openHandshakeTimeout=0,
        )
        observers = [STDLibLogObserver(__name__)] if self.verbosity > 1 else [lambda _: None]
        globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
        self._raise_file_limit()
        for description in self.endpoints:
            listening = serverFromString(reactor, str(description)).listen(self.http_factory)
            listening.addCallbacks(self.listen_success, self.listen_error)
            self.listeners.append(listening)
        if self.abort_start:
            return
        if self.signal_handlers:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.loop.add_signal_handler(number, self.drain)
        reactor.addSystemEventTrigger("before", "shutdown", self.kill_all_applications)
        reactor.callWhenRunning(self._started)
        try:
            reactor.run(installSignalHandlers=False)
        finally:
            self.left.set()

    def listen_success(self, port: Any) -> None:
        port.socket.listen(BACKLOG)
        self.ports.append(port)
        super().listen_success(port)

    def listen_error(self, failure: Any) -> None:
        print(f"Cannot listen: {failure.getErrorMessage()}", file=sys.stderr)  # noqa: T201  # whatever logging does
        self.stop()

    def _started(self) -> None:
        self.running.set()
        self._spawn(self._look())
        self._spawn(_done(self.on_start))
        if self.ready_callable:
            self.ready_callable()

    def _raise_file_limit(self) -> None:
        """As many descriptors as the system allows; the last ones are not for new clients."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.last_descriptor = hard - SPARE if hard != resource.RLIM_INFINITY else sys.maxsize

    def drain(self) -> None:
        """Leave politely: listen no more, tell everybody, let what is under way finish. Again: leave at once."""
        if self.draining:
            logger.warning("told to stop a second time: leaving at once")
            os._exit(1)
        self.draining = True
        self._spawn(self._drain())

    def drain_from_outside(self, patience: float) -> None:
        """Drain from another thread, which waits for so many seconds at most."""
        if self.running.is_set() and not self.left.is_set():
            self.loop.call_soon_threadsafe(self.drain)
            self.left.wait(patience)

    async def _drain(self) -> None:
        began = self.loop.time()
        logger.info("draining: %d connections", len(self.connections))
        try:
            for port in self.ports:
                port.stopListening()
            await _done(self.on_drain)
            async for protocol in self._crowd:
                if isinstance(protocol, Wire):
                    protocol.close(1012, "service restart")
            if running := self._applications():
                await asyncio.wait(running, timeout=began + self.limits.drain - self.loop.time())
            left = max(LAST_WORDS, began + self.limits.drain - self.loop.time())
            async with asyncio.timeout(left):
                await _done(self.on_stop)
        except Exception:
            logger.exception("the drain did not go to its end")
        finally:
            self.stop()

    def _applications(self) -> list[asyncio.Task[None]]:
        found = (details.get("application_instance") for details in self.connections.values())
        return [task for task in found if task and not task.done()]

    def kill_all_applications(self) -> Any:
        """What has not ended by now is cancelled: called by the reactor before it stops."""
        for task in self._applications():
            task.cancel()
        return None

    # applications ---------------------------------------------------------------------------------------------
    def create_application(self, protocol: Any, scope: dict[str, Any]) -> asyncio.Queue[dict[str, Any]] | None:
        scope.setdefault("asgi", {"version": "3.0", "spec_version": "2.4"})
        if isinstance(protocol, Wire):
            scope["scheme"] = "wss" if protocol.transport_details.is_secure else "ws"
            scope["extensions"] = {"websocket.http.response": {}, EXTENSION: protocol}
            limits = self.limits
            queue: asyncio.Queue[dict[str, Any]] = Inbox(limits.max_queue, limits.max_queue_size, protocol.on_room)
            send: Any = protocol.reply
        else:
            queue, send = asyncio.Queue(), partial(self.handle_reply, protocol)
        details = self.connections.get(protocol)
        if details is None:
            return None
        assert "application_instance" not in details
        task = self.loop.create_task(self.application(scope, queue.get, send))
        details["application_instance"] = task
        task.add_done_callback(partial(self._application_ended, protocol))
        return queue

    def _application_ended(self, protocol: Any, task: asyncio.Task[None]) -> None:
        details = self.connections.get(protocol, {})
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("Exception inside application: %s", error, exc_info=error)
        if details.get("disconnected"):
            self._forget(protocol)
        elif error is not None:
            protocol.handle_exception(error)
        elif isinstance(protocol, Wire):
            protocol.application_returned()

    def protocol_connected(self, protocol: Any) -> None:
        super().protocol_connected(protocol)
        self._crowd.add(protocol)

    def protocol_disconnected(self, protocol: Any) -> None:
        details = self.connections.get(protocol)
        if details is None:
            return
        details.setdefault("disconnected", self.loop.time())
        task = details.get("application_instance")
        if task is None or task.done():
            self._forget(protocol)

    def _forget(self, protocol: Any) -> None:
        del self.connections[protocol]
        self._crowd.discard(protocol)

    async def _look(self) -> None:
        """Close what is idle, and end what does not end by itself."""
        while True:
            await asyncio.sleep(LOOK)
            async for protocol in self._crowd:
                self._look_at(protocol)

    def _look_at(self, protocol: Any) -> None:
        details = self.connections.get(protocol)
        try:
            if details is None:
                return  # it went while another was looked at
            if "disconnected" not in details:
                protocol.check_timeouts()
            elif details["disconnected"] < self.loop.time() - self.application_close_timeout:
                self._end(protocol, details)
        except Exception:
            logger.exception("a look at a connection failed")

    def _end(self, protocol: Any, details: dict[str, Any]) -> None:
        logger.warning("an application did not end after its client had gone, and was cancelled: %r", protocol)
        details["disconnected"] = float("inf")
        details["application_instance"].cancel()

    def has_room_for(self, descriptor: int) -> bool:
        """Whether a new client may stay. A descriptor is the lowest free number: a high one says that few are left."""
        if descriptor < self.last_descriptor:
            return True
        if self.loop.time() - self.refused_at > 1:
            self.refused_at = self.loop.time()
            logger.error(
                "new clients are refused: %d of %d file descriptors are in use. Raise the limit (ulimit -n).",
                descriptor, self.last_descriptor + SPARE,
            )  # fmt: skip
        return False

    def _spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _done(hook: Hook | None) -> None:
    if hook is not None:
        result = hook()
        if result is not None:
            await result
