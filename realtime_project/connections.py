"""The door: the ASGI wrapper that every WebSocket passes, of whatever application.

It gives the connection its identity, counts what passes, keeps the limits and sees to the close. The rule: whatever
is sent to one connection takes one path, so nothing overtakes.
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from structlog.contextvars import bind_contextvars

from . import private
from .bans import BANNED, REASON, bans
from .cleanup import App, for_one_connection, leave
from .feeds import Content, Event, Run, size_of
from .figures import counters
from .outlets import Send, outlet_of
from .registry import Actor, registry
from .revocation import proof_of
from .topics import Topic, topic_in, topic_out

logger = logging.getLogger(__name__)

DONE, TOO_BIG, FAILED = 1000, 1009, 1011  # close codes, RFC 6455 section 7.4.1

_numbers = itertools.count()


class Connection:
    """One WebSocket, as the rest of the house sees it: who it is, and how to write to it."""

    server_id = private.SERVER
    actor: Actor | None = None  # in actor mode, for the registry to show
    _receiver: Callable[[Content], None] | None = None

    def __init__(self, scope: dict[str, Any], send: Send, endpoint: str, mode: str) -> None:
        headers = scope["headers"]
        client = scope.get("client") or ("", None)
        self.id = uuid.uuid4().hex
        self.channel_id = next(_numbers)
        self.endpoint, self.mode, self.path = endpoint, mode, scope["path"]
        self.client_ip, self.client_port = client[0], _port(client[1])
        self.origin = next((value.decode("latin1") for name, value in headers if name == b"origin"), None)
        self.user = scope.get("user")
        self.proof = proof_of(scope)
        self.subprotocol: str | None = None
        self.connected_at: datetime = timezone.now()
        self.accepted = self.closed = self._closing = False
        self.messages_in = self.bytes_in = self._messages_out = self._bytes_out = 0
        self._outlet = outlet_of(scope, send)
        self._lane = self._outlet.lane

    # what the hub asks ----------------------------------------------------------------------------------------
    def write(self, events: Sequence[Event]) -> None:
        """Send events, soon. Never waits; a reader that lets WEBSOCKET_MAX_BUFFER wait is closed with 1013."""
        if self.closed:
            return
        run = events if type(events) is Run else Run(events)
        if self._outlet.write(run):
            self._messages_out += len(run)
            self._bytes_out += run.size
        else:
            self.closed = self._closing = True

    @property
    def straight(self) -> Callable[[Any], bool] | None:
        """The shortest way for what many are written, where the server has one. It counts for itself."""
        return self._lane.write if self._lane else None

    @property
    def messages_out(self) -> int:
        return self._messages_out + (self._lane.messages if self._lane else 0)

    @property
    def bytes_out(self) -> int:
        """Of content."""
        return self._bytes_out + (self._lane.bytes if self._lane else 0)

    @property
    def unsent(self) -> int:
        """Bytes that wait in this process, because the client reads slowly."""
        return self._outlet.unsent

    async def drain(self) -> None:
        """Return when most of what was written has gone out."""
        await self._outlet.drain()

    def send_text(self, text: str) -> None:
        """Send one text message on the same path, without waiting."""
        self.write((Event(text),))

    def close_soon(self, code: int, reason: str = "") -> None:
        """Close after what was written; nothing can be written any more."""
        if not self.closed:
            self.closed = self._closing = True
            self._outlet.close(code, reason)

    @property
    def gone(self) -> bool:
        """Whether the client has gone, as far as the server says so before the application has heard of it."""
        return self._outlet.gone

    # private topics -------------------------------------------------------------------------------------------
    @property
    def topic_out(self) -> Topic:
        """What is published to it reaches this client and nobody else, from its acceptance to its close."""
        return topic_out(self)

    @property
    def topic_in(self) -> Topic:
        """What is published to it reaches the receiver that on_private() has set."""
        return topic_in(self)

    def on_private(self, receiver: Callable[[Content], None]) -> None:
        """Hand what comes through topic_in to `receiver`, which must not wait. Without one it is dropped."""
        self._receiver = receiver

    def take(self, contents: Sequence[Content]) -> None:
        """What came through topic_in."""
        if self._receiver is None:
            counters.drops += len(contents)
            logger.debug("connection %s takes no messages of others", self.id)
        elif not self.closed:
            for content in contents:
                self._receiver(content)

    # ----------------------------------------------------------------------------------------------------------
    def limit_to(self, size: int) -> None:
        """The endpoint takes no larger messages, in bytes. Our server then does not even read them."""
        self._outlet.limit_to(size)

    async def fail(self) -> bool:
        """Close with 1011, at once; False where the server cannot."""
        if not self.accepted or (self.closed and not self._closing):
            return self.closed
        self.closed = True
        return await self._outlet.fail(FAILED, "internal error")

    # what passes the door -------------------------------------------------------------------------------------
    async def send(self, message: dict[str, Any]) -> None:
        """The application's `send`."""
        kind = message["type"]
        if kind == "websocket.send":
            self._messages_out += 1
            self._bytes_out += size_of(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.accept":
            self.accepted = True
            self.subprotocol = message.get("subprotocol")
            counters.opened += 1
            registry.opened(self)
            private.clients[self.id] = self
        elif kind == "websocket.close":
            if self.closed:
                return
            await self._outlet.send(message)  # which refuses what is no close code
            self.closed = True
            return
        await self._outlet.send(message)
        if kind == "websocket.accept" and bans.refuse(self.user, self.client_ip):  # banned since the handshake began
            self.close_soon(BANNED, REASON)

    def counted(self, message: dict[str, Any], limit: int) -> bool:
        """Count what came in; False if it is larger than the endpoint takes."""
        content = message.get("text")
        if content is None:
            content = message.get("bytes") or b""
        size = size_of(content)
        self.messages_in += 1
        self.bytes_in += size
        return size <= limit


def door(app: App, endpoint: str) -> App:
    """Wrap the application of one endpoint, e.g. door(echo, endpoint="/ws/echo/").

    The wrapped application finds its Connection in scope["connection"]. When it raises, the client sees 1011
    "internal error", never the exception; the log has it with the connection's id. A Channels consumer's `disconnect`
    then runs all the same.
    """
    consumer = getattr(app, "consumer_class", None)
    mode = getattr(consumer, "mode", "consumer" if consumer else "asgi")
    max_size = getattr(consumer, "max_size", None)

    def limit() -> int:
        return min(max_size or settings.WEBSOCKET_MAX_MESSAGE_SIZE, settings.WEBSOCKET_MAX_MESSAGE_SIZE)

    async def enter(scope: dict[str, Any], receive: Any, send: Send) -> None:
        await bans.ready()
        if bans.refuse(scope.get("user"), (scope.get("client") or ("",))[0]):
            logger.warning("refused a WebSocket on %r: %s is banned", scope["path"], scope.get("user") or "the address")
            await deny(scope, send, 403, "You may not connect for a time.")
            return
        connection = Connection(scope, send, endpoint, mode)
        bind_contextvars(connection=connection.id)  # of this task: for what is logged in it
        connection.limit_to(most := limit())
        _warn_of_debug(scope)

        async def receive_counted() -> dict[str, Any]:
            while True:
                message: dict[str, Any] = await receive()
                if message["type"] == "websocket.receive":
                    if connection.closed:
                        continue
                    if not connection.counted(message, most):
                        connection.close_soon(TOO_BIG, f"a message has at most {most} bytes")
                        continue
                elif message["type"] == "websocket.disconnect":
                    connection.closed = True
                return message

        called = app
        try:
            called = for_one_connection(app)
            await called({**scope, "connection": connection}, receive_counted, connection.send)
            if connection.accepted:  # an application that has returned reads no more
                connection.close_soon(DONE)
                await connection.drain()
        except Exception:
            logger.exception("connection %s on %s: the application failed", connection.id, endpoint)
            told = await connection.fail()
            await leave(called, FAILED)
            if not told:
                raise  # to the server, which has its own way
        except BaseException:  # cancelled
            await leave(called, FAILED)
            raise
        finally:
            connection.closed = True
            if connection.accepted:
                counters.ended(connection)
            connection._receiver = connection.actor = None  # which may refer to this connection
            registry.closed(connection)
            private.clients.pop(connection.id, None)

    enter.app, enter.endpoint, enter.mode, enter.max_size = app, endpoint, mode, limit()  # type: ignore[attr-defined]
    return enter


async def refuse(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """The answer to a path that no endpoint has."""
    logger.warning("refused a WebSocket: nothing is at %r", scope["path"])
    await deny(scope, send, 404, "No WebSocket is here.")


async def deny(scope: dict[str, Any], send: Send, status: int, why: str) -> None:
    """Refuse a handshake with an HTTP status, where the server can; elsewhere it is 403."""
    if "websocket.http.response" in scope.get("extensions", {}):
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": f"{why}\n".encode()})
    else:
        await send({"type": "websocket.close", "code": 4000 + status})


def _port(number: Any) -> int | None:
    """A proxy may hand on what the client itself says: any number, or none."""
    return number if isinstance(number, int) and 0 <= number < 2**16 else None


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
