"""The door: the ASGI wrapper that every WebSocket passes, of whatever application.

It gives the connection its identity, counts what passes, keeps the limits and sees to the close. The rule: whatever
is sent to one connection takes one path, so nothing overtakes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from .feeds import Event, size_of
from .registry import registry
from .revocation import proof_of

logger = logging.getLogger(__name__)

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DONE, TOO_BIG, FAILED, SLOW = 1000, 1009, 1011, 1013  # close codes, RFC 6455 section 7.4.1 and its registry

TURN = 4_000  # messages written before the loop may do something else

_numbers = itertools.count()


class Connection:
    """One WebSocket, as the rest of the house sees it: who it is, and how to write to it."""

    def __init__(self, scope: dict[str, Any], send: Send, endpoint: str, mode: str) -> None:
        headers = scope["headers"]
        client = scope.get("client") or ("", None)
        self.id = uuid.uuid4().hex
        self.channel_id = next(_numbers)
        self.endpoint, self.mode, self.path = endpoint, mode, scope["path"]
        self.client_ip, self.client_port = client[0], client[1]
        self.origin = next((value.decode("latin1") for name, value in headers if name == b"origin"), None)
        self.user = scope.get("user")
        self.proof = proof_of(scope)
        self.subprotocol: str | None = None
        self.connected_at: datetime = timezone.now()
        self.accepted = self.closed = False
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self._send = send
        # Daphne's `send` only hands over: one task can write for all. Elsewhere one slow reader would hold the others.
        self._never_waits = type(getattr(getattr(send, "func", None), "__self__", None)).__module__ == "daphne.server"
        self._farewell: dict[str, Any] | None = None  # the close that follows what was written
        self._out: list[dict[str, Any]] = []
        self._waiting = 0  # bytes in _out
        self._writing = False  # the writer is in the middle of `send`
        self._writer: asyncio.Task[None] | None = None

    # what the hub asks ----------------------------------------------------------------------------------------
    def write(self, events: Sequence[Event]) -> None:
        """Send events, soon. Never waits.

        Where the server makes a writer wait, a reader that lets WEBSOCKET_MAX_BUFFER wait is closed with 1013. Stock
        Daphne never does: it holds whatever a slow reader has not taken.
        """
        if self.closed:
            return
        if self._writing and self._waiting > settings.WEBSOCKET_MAX_BUFFER:  # the server has made the writer wait
            self._out.clear()
            self.close_soon(SLOW, "too slow")
            return
        size = 0
        for event in events:
            self._out.append(event.message)
            size += event.size
        self._waiting += size
        self.messages_out += len(events)
        self.bytes_out += size
        if self._writer is None:
            self._start_writing()

    @property
    def unsent(self) -> int:
        """Messages that wait for the writer."""
        return len(self._out)

    async def drain(self) -> None:
        """Return when what was written has gone to the server."""
        while self._writer:
            await asyncio.shield(self._writer)

    def send_text(self, text: str) -> None:
        """Send one text message on the same path, without waiting."""
        self.write((Event(text),))

    def close_soon(self, code: int, reason: str = "") -> None:
        """Close after what was written; nothing can be written any more."""
        if not self.closed:
            self.closed = True
            self._farewell = {"type": "websocket.close", "code": code, "reason": reason}
            if self._writer is None:
                self._start_writing()

    def _start_writing(self) -> None:
        self._writer = flusher.add(self) if self._never_waits else asyncio.create_task(self.flush())

    async def fail(self) -> bool:
        """Close with 1011, at once; False where the server cannot."""
        self._out.clear()
        if self._writer and not self._never_waits:
            self._writer.cancel()
        if not self.accepted or (self.closed and not self._farewell):
            return self.closed
        farewell = self._farewell or {"type": "websocket.close", "code": FAILED, "reason": "internal error"}
        self.closed, self._farewell = True, None
        try:
            await self._send(farewell)
        except Exception:
            return False
        return True

    async def flush(self) -> None:
        """Send what was written; for the task that writes."""
        send = self._send
        self._writing = True
        try:
            while self._out:
                out, self._out, self._waiting = self._out, [], 0
                for message in out:
                    await send(message)
            if self._farewell:
                farewell, self._farewell = self._farewell, None
                await self._close(farewell)
        except Exception as error:  # the client has gone, or the application may not send now
            logger.debug("connection %s: cannot be written to: %r", self.id, error)
            self.closed = True
            self._out.clear()
        finally:
            self._writer, self._writing = None, False

    async def _close(self, message: dict[str, Any]) -> None:
        try:
            await self._send(message)
        except Exception:  # stock Daphne sends 1000 and 3000 to 4999 only: 1009 leaves as 4009
            await self._send({"type": "websocket.close", "code": 3000 + message["code"]})

    # what passes the door -------------------------------------------------------------------------------------
    async def send(self, message: dict[str, Any]) -> None:
        """The application's `send`."""
        kind = message["type"]
        if kind == "websocket.send":
            self.messages_out += 1
            self.bytes_out += size_of(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.accept":
            self.accepted = True
            self.subprotocol = message.get("subprotocol")
            registry.opened(self)
        elif kind == "websocket.close":
            if self.closed:
                return
            self.closed = True
        if self._writer:
            await self.drain()
        await self._send(message)

    def counted(self, message: dict[str, Any], limit: int) -> bool:
        """Count what came in; False if it is larger than the endpoint takes."""
        content = message.get("text")
        if content is None:
            content = message.get("bytes") or b""
        size = size_of(content)
        self.messages_in += 1
        self.bytes_in += size
        return size <= limit


class Flusher:
    """Writes for the connections whose server never makes it wait: one task instead of one each."""

    def __init__(self) -> None:
        self._waiting: list[Connection] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, connection: Connection) -> asyncio.Task[None]:
        """The task that will have written when it ends."""
        self._waiting.append(connection)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return self._task

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            sent = 0
            for connection in waiting:
                sent += connection.unsent
                await connection.flush()
                if sent >= TURN:
                    sent = 0
                    await asyncio.sleep(0)


flusher = Flusher()


def door(app: App, endpoint: str) -> App:
    """Wrap the application of one endpoint, e.g. door(echo, endpoint="/ws/echo/").

    The wrapped application finds its Connection in scope["connection"]. When it raises, the client sees 1011
    "internal error", never the exception; the log has it with the connection's id.
    """
    consumer = getattr(app, "consumer_class", None)
    mode = getattr(consumer, "mode", "consumer" if consumer else "asgi")
    max_size = getattr(consumer, "max_size", None)

    async def enter(scope: dict[str, Any], receive: Any, send: Send) -> None:
        connection = Connection(scope, send, endpoint, mode)
        limit = min(max_size or settings.WEBSOCKET_MAX_MESSAGE_SIZE, settings.WEBSOCKET_MAX_MESSAGE_SIZE)
        _warn_of_debug(scope)

        async def receive_counted() -> dict[str, Any]:
            while True:
                message: dict[str, Any] = await receive()
                if message["type"] == "websocket.receive":
                    if connection.closed:
                        continue
                    if not connection.counted(message, limit):
                        connection.close_soon(TOO_BIG, f"a message has at most {limit} bytes")
                        continue
                elif message["type"] == "websocket.disconnect":
                    connection.closed = True
                return message

        try:
            await app({**scope, "connection": connection}, receive_counted, connection.send)
            if connection.accepted:  # an application that has returned reads no more
                connection.close_soon(DONE)
                await connection.drain()
        except Exception:
            logger.exception("connection %s on %s: the application failed", connection.id, endpoint)
            if not await connection.fail():
                raise  # to the server, which has its own way
        finally:
            connection.closed = True
            registry.closed(connection)

    enter.endpoint, enter.mode = endpoint, mode  # type: ignore[attr-defined]
    return enter


async def refuse(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """The answer to a path that no endpoint has."""
    logger.warning("refused a WebSocket: nothing is at %r", scope["path"])
    await send({"type": "websocket.close", "code": 4404})


def _warn_of_debug(scope: dict[str, Any]) -> None:
    """DEBUG shows secrets to whoever asks: it belongs on the loopback address."""
    server = scope.get("server")
    if settings.DEBUG and server and server[0] not in _seen:
        _seen.add(server[0])
        if not is_loopback(server[0]):
            logger.warning("DEBUG is on and %s can be reached from other machines. Set DEBUG=0.", server[0])


_seen: set[str] = set()


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
