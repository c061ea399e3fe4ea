"""One WebSocket on the wire: Daphne's protocol with truthful closes, limits, and a short way in and out.

The rule: everything that leaves goes through `write`, and leaves in that order. What a client sends is parsed by
frames.py where it is plain and by autobahn where it is not, with the same limits; what breaks a rule is answered with a
close frame that says so. Knows neither Django nor the application behind it.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import tcp

from . import frames
from .figures import counters
from .inbox import Inbox
from .lanes import Flusher, Lane
from .limits import Limits

logger = logging.getLogger(__name__)

NORMAL, GOING_AWAY, PROTOCOL_ERROR, BAD_DATA, FAILED, SLOW = 1000, 1001, 1002, 1007, 1011, 1013  # RFC 6455, 7.4.1
NO_STATUS = 1005  # told to the application, never sent
IDLE = 4408
EARLY = 64 * 1024  # bytes that a client may send before it is accepted
LINGER = 2.0  # seconds until a close is over, however slow the client
READING = 0.004  # seconds of reading one connection before the loop may do something else

Headers = Iterable[tuple[bytes, bytes]]


class Home(Protocol):
    """The server, as its connections see it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    flusher: Flusher
    ping_interval: float
    websocket_timeout: float
    websocket_connect_timeout: float

    def protocol_disconnected(self, protocol: Any) -> None: ...
    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None: ...


class Wire(WebSocketProtocol):  # type: ignore[misc]
    """A client's connection, from the handshake on. Also the producer of its transport, which says when it is full."""

    server: Home
    data: bytes  # what autobahn has not read yet
    failedByMe: bool  # the client broke a rule
    wasClean: bool  # its close frame has come
    inbox: Inbox | None = None
    max_size = 0  # bytes of one message; an endpoint may lower it
    clogged = False  # the transport holds more than it likes
    waiting = 0  # bytes written that the kernel has not taken yet, as far as was known at the last write
    opened_at = heard_at = pinged_at = 0.0  # seconds, monotonic
    said_goodbye = False  # closed or refused from this side: nothing more is sent
    closed_by_application = False  # which then may not send any more
    _unread = b""  # bytes that wait for room in the inbox, or for the rest of their frame
    _halfway = False  # what has come could be read on at once
    _pong: bytes | None = None  # waits until the client reads again
    _denial: dict[str, Any] | None = None
    _room: asyncio.Future[None] | None = None
    _deadline: asyncio.TimerHandle | None = None

    # the handshake --------------------------------------------------------------------------------------------
    def connectionMade(self) -> None:
        self._pending: list[bytes] = []
        self.server = self.factory.server_class
        self.opened_at = self.heard_at = monotonic()
        super().connectionMade()
        self.max_size = self.maxMessagePayloadSize
        self.transport.unregisterProducer()  # the HTTP channel
        self.transport.registerProducer(self, True)
        self.lane = Lane(self)
        if type(self.transport) is tcp.Server:  # neither TLS nor a unix socket
            self.lane.send = self.transport.socket.send

    def lower_limit(self, size: int) -> None:
        """An endpoint takes less than the server: bytes of one message, its fragments added up."""
        self.max_size = self.maxMessagePayloadSize = self.maxFramePayloadSize = min(size, self.max_size)

    def applicationCreateWorked(self, inbox: Inbox | None) -> None:
        if inbox is not None:
            self.inbox = inbox
            super().applicationCreateWorked(inbox)

    def onOpen(self) -> None:
        super().onOpen()
        self.transport.resumeProducing()
        early, self._unread = self._unread, b""
        if self.data or early:
            early, self.data = self.data + early, b""
            self._take(early)

    def _accept(self, message: dict[str, Any]) -> None:
        if self.closed_by_application or self.state in (self.STATE_OPEN, self.STATE_CLOSING):
            raise RuntimeError("websocket.accept was sent twice, or after a close")
        if self.said_goodbye or self.state == self.STATE_CLOSED:
            return  # the server is leaving, or the client has left
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self.websocket_protocols:
            raise ValueError(f"the subprotocol {subprotocol!r} was not offered; offered: {self.websocket_protocols}")
        headers: dict[str, list[str]] = {}
        for name, value in _checked(message.get("headers", ())):
            headers.setdefault(name.decode("latin1"), []).append(value.decode("latin1"))
        self.serverAccept((subprotocol, headers))

    def deny(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """Refuse the handshake with an HTTP response."""
        if self.state != self.STATE_CONNECTING or self.said_goodbye:
            return
        self.said_goodbye = True
        head = [f"HTTP/1.1 {status} {_phrase(status)}".encode()]
        head += [name + b": " + value for name, value in headers]
        head += [b"Content-Length: %d" % len(body), b"Connection: close"]
        self.transport.write(b"\r\n".join([*head, b"", body]))
        self.wasNotCleanReason = f"refused with {status}"
        self.server.log_action("websocket", "rejected", {"path": self.request.path, "client": _address(self)})
        self.dropConnection(abort=False)

    # in -------------------------------------------------------------------------------------------------------
    def dataReceived(self, data: bytes) -> None:
        self.heard_at = monotonic()
        if self.state == self.STATE_CONNECTING:
            self._before_open(data)
        elif self.state != self.STATE_CLOSED and not self.failedByMe and not self.wasClean:
            if self._unread:
                data, self._unread = self._unread + data, b""
            self._take(data)

    def _before_open(self, data: bytes) -> None:
        if self.inbox is None:
            super().dataReceived(data)  # the handshake itself
            return
        self._unread += data  # autobahn would take it for another handshake
        if len(self._unread) > EARLY:
            self.transport.pauseProducing()

    def _take(self, data: bytes) -> None:
        """Messages → inbox, as long as there is room; what is not plain goes through autobahn, frame by frame."""
        inbox = self.inbox
        assert inbox is not None
        stop, self._halfway = monotonic() + READING, False
        if self.data or self.current_frame is not None or self.inside_message or self.state != self.STATE_OPEN:
            self.data += data
            data = self._by_autobahn(stop)
        while data:
            messages, used, strange = frames.read(data, self.max_size, inbox.room)
            if messages:
                for content in messages:
                    self._receive(content)
                data = data[used:]
                if not data:
                    break
            if inbox.was_full or not strange:
                self._unread = data
                break
            self.data = data
            data = self._by_autobahn(stop)
            if data and monotonic() > stop:
                self._unread, self._halfway = data, True
                break
        if inbox.was_full and self.state == self.STATE_OPEN:
            self.transport.pauseProducing()
        elif self._halfway:  # thousands of small frames: the others first
            self.transport.pauseProducing()
            self.server.loop.call_soon(self.on_room)

    def _by_autobahn(self, stop: float) -> bytes:
        """Let autobahn read what is not plain, until `stop`; what is left when it stands between two messages."""
        while not self._may_not_read() and self.processData() and not self._may_not_read():
            if self.current_frame is None and not self.inside_message and self.state == self.STATE_OPEN:
                data: bytes = self.data
                self.data = b""
                return data
            if monotonic() >= stop:
                self._halfway = True  # even if no byte is left: the end of an empty frame is a step of its own
                break
        return b""

    def _may_not_read(self) -> bool:
        if self.failedByMe or self.wasClean:  # by its violation or its close a client has ended
            return True
        if self.state == self.STATE_OPEN:
            return bool(self.inbox and self.inbox.was_full)
        return bool(self.state == self.STATE_CLOSED)

    def consumeData(self) -> None:
        if self.state == self.STATE_CONNECTING:
            self.processHandshake()
        # else: onOpen takes what came with the handshake

    def onMessageBegin(self, isBinary: bool) -> None:
        super().onMessageBegin(isBinary)
        self.message_data = bytearray()  # autobahn's list of pieces costs 50 bytes a piece, however small

    def onMessageFrameData(self, payload: bytes) -> None:
        if not self.failedByMe:
            self.message_data += payload

    def onMessageFrameEnd(self) -> None:
        """Nothing is to be done: autobahn would add up the frame's pieces now."""

    def onMessageEnd(self) -> None:
        data, self.message_data = self.message_data, bytearray()
        if not self.failedByMe:
            self._receive(bytes(data) if self.message_is_binary else data.decode())

    def onPing(self, payload: bytes) -> None:
        """Answered at once; to a client that does not read, only the latest, later (RFC 6455, section 5.5.3)."""
        if self.clogged:
            self._pong = payload
        else:
            self.sendPong(payload)

    def _receive(self, content: str | bytes) -> None:
        if self.state == self.STATE_OPEN and self.inbox is not None:
            kind = "text" if isinstance(content, str) else "bytes"
            self.inbox.put_nowait({"type": "websocket.receive", kind: content})

    def on_room(self) -> None:
        """The application has caught up, or the loop has turned: read on."""
        if self.state == self.STATE_CLOSING or (self.state == self.STATE_OPEN and not self._may_not_read()):
            self.heard_at = monotonic()  # it was not the client that was silent
            self.transport.resumeProducing()
            data, self._unread = self._unread, b""
            self._take(data)

    # out ------------------------------------------------------------------------------------------------------
    def write(self, data: bytes) -> bool:
        """Send finished frames at the end of this turn of the loop, joined with what else is written in it.

        Never waits. A client that lets more than the limit wait is told 1013 and gets no more: then it is False.
        """
        if self.state != self.STATE_OPEN or self.said_goodbye:
            return True
        if self.waiting > self.server.limits.max_buffer:
            self.flush()
            if self.waiting > self.server.limits.max_buffer:
                self.close(SLOW, "too slow")
                return False
        if not self._pending:
            self.server.flusher.add(self)
        self._pending.append(data)
        self.lane.free = False
        self.waiting += len(data)
        return True

    def left(self, data: bytes) -> None:
        """The kernel did not take it: it waits in the transport."""
        self.lane.free = False
        self.transport.write(data)
        self.waiting = _held_by(self.transport)

    def flush(self) -> None:
        """Hand what was written to the kernel; what it does not take, to the transport."""
        pending = self._pending
        transport = self.transport
        if pending:
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            pending.clear()
            # Twisted's own write costs three system calls. It comes first only where it already holds something.
            send = self.lane.send
            if send and not transport.dataBuffer and not transport._tempDataBuffer and transport.connected:
                try:
                    sent = send(data)
                except OSError:  # full, or gone: the transport finds out which
                    sent = 0
                if sent == len(data):
                    self.waiting = 0
                    self.lane.free = self.state == self.STATE_OPEN and not (self.said_goodbye or self.lane.shut)
                    return
                data = data[sent:]
            transport.write(data)
        self.waiting = _held_by(transport)

    @property
    def unsent(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return sum(map(len, self._pending)) + _held_by(self.transport) if self.waiting else 0

    def sendData(self, data: bytes, *_: Any) -> None:
        """What autobahn sends leaves at once, after what was written: also if the client has ended its side already."""
        self._pending.append(data)
        self.lane.free = False  # until all of it has left
        self.flush()

    @property
    def gone(self) -> bool:
        """Nobody is there any more; the application may not have read as far."""
        return bool(self.state == self.STATE_CLOSED)

    async def drained(self) -> None:
        """Return when the client has taken most of what was written."""
        self.flush()
        while self.clogged:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def pauseProducing(self) -> None:  # called by the transport
        self.clogged = True

    def resumeProducing(self) -> None:
        self.clogged = False
        self.waiting = sum(map(len, self._pending))
        if self._room:
            self._room.set_result(None)
            self._room = None
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.sendPong(pong)

    stopProducing = resumeProducing

    async def reply(self, message: dict[str, Any]) -> None:
        """The application's `send`."""
        kind = message["type"]
        if kind == "websocket.send":
            data = frames.frame(_content(message))
            if self.state == self.STATE_OPEN and self.waiting > self.server.limits.max_buffer:
                await self._until_there_is_room()
            if self.closed_by_application:
                raise RuntimeError("websocket.send after a close")
            if self.state == self.STATE_CONNECTING and not self.said_goodbye:
                raise RuntimeError("websocket.send before websocket.accept")
            self.write(data)
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._close_asked(message)
        elif kind == "websocket.http.response.start" and self.state == self.STATE_CONNECTING:
            self._denial = {
                "status": int(message["status"]),
                "headers": _checked(message.get("headers", ())),
                "body": b"",
            }
        elif kind == "websocket.http.response.body" and self._denial is not None:
            self._denial["body"] += message.get("body", b"")
            if not message.get("more_body"):
                self.deny(**self._denial)
        elif self.state != self.STATE_CLOSED:
            raise ValueError(f"{kind!r} cannot be sent now")

    async def _until_there_is_room(self) -> None:
        """Who awaits `send` can be made to wait, for as long as a slow reader is waited for anyway."""
        try:
            async with asyncio.timeout(LINGER):
                await self.drained()
        except TimeoutError:
            self.close(SLOW, "too slow")

    # the end --------------------------------------------------------------------------------------------------
    def _close_asked(self, message: dict[str, Any]) -> None:
        code = NORMAL if message.get("code") is None else message["code"]
        if self.closed_by_application:
            raise RuntimeError("websocket.close after a close")
        if self.state == self.STATE_CONNECTING:
            self.closed_by_application = True
            self.deny(403)
            return
        if not isinstance(code, int) or not frames.legal_close_code(code):
            raise ValueError(
                f"{code!r} cannot be sent as a close code; 1000 to 1014 (not 1004 to 1006), 3000 to 4999 can"
            )
        self.closed_by_application = True
        self.close(code, message.get("reason") or "")

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame after what was written. Over within LINGER seconds, whatever the client does."""
        if self.state == self.STATE_CONNECTING:
            self.deny(503 if code == 1012 else 403)
        elif self.state == self.STATE_OPEN and not self.said_goodbye:
            if code == SLOW:
                counters.slow_readers += 1
            else:
                self.flush()
            self.said_goodbye = True
            self._pending.clear()
            self._send_close(code, frames.close_reason(reason))
            self._let_in()

    def _fail_connection(self, code: int = GOING_AWAY, reason: str = "") -> None:
        """The client broke a rule: read no more of it, and say which. The name is autobahn's."""
        if self.failedByMe:
            return  # one frame may break several
        self.failedByMe = True
        if self.state == self.STATE_OPEN:
            self._after_answers(code, frames.close_reason(reason))
        else:
            self.dropConnection(abort=False)

    def _say_last(self, code: int | None, reason: bytes | None) -> None:
        """The last close frame. It is read even if the client still sends: our side ends first, all of it soon."""
        if self.state == self.STATE_OPEN:
            self.said_goodbye = True
            self._send_close(code, reason)
            if self.lane.send:
                self.transport.loseWriteConnection()
                self._let_in()
                return
        self.dropConnection(abort=False)

    def _send_close(self, code: int | None, reason: bytes | None) -> None:
        self.sendCloseFrame(code, reason)
        self._within_linger(self._give_up)

    def _within_linger(self, end: Callable[[], object]) -> None:
        """Instead of what was to end it before. Autobahn's own timer counts whole seconds: up to one too few."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.server.loop.call_later(LINGER, end)

    def _give_up(self) -> None:
        """The client does not answer our close. Cut it off only where it does not even take what was sent."""
        self.dropConnection(abort=_held_by(self.transport) > 0)

    def _after_answers(self, code: int | None, reason: bytes | None) -> None:
        """Let an application that is not busy answer what came before the end, often in the same segment."""
        if self.inbox is None or self.inbox.empty():
            self._say_last(code, reason)
        else:
            self.server.loop.call_soon(self._say_last, code, reason)

    def _let_in(self) -> None:
        """Read again if that was paused: the client's close is to be seen."""
        self._unread = b""
        self.transport.resumeProducing()

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool:
        if code is not None and not frames.legal_close_code(code):
            self._fail_connection(PROTOCOL_ERROR, f"{code} is no close code")
            return True
        try:
            self.remoteCloseReason = (reasonRaw or b"").decode()
        except UnicodeDecodeError:
            self._fail_connection(BAD_DATA, "the reason is not UTF-8")
            return True
        self.remoteCloseCode = code
        self.wasClean = True
        self._after_answers(code, reasonRaw)
        return True

    def dropConnection(self, abort: bool = False) -> None:
        if self.state != self.STATE_CLOSED:
            super().dropConnection(abort)
            if not abort:  # what is written may still leave, but not for ever
                self._within_linger(self.transport.abortConnection)

    def connectionLost(self, reason: Any) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.lane.free, self.lane.wire = False, None
        self.stopProducing()
        super().connectionLost(reason)
        self.is_open = self.is_closed = self.handshake_deferred = (
            None  # they refer to it: it would not be freed at once
        )
        if self.inbox is not None:
            self.inbox.on_room = _nothing

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.server.protocol_disconnected(self)
        if self.inbox is not None:
            code = NO_STATUS if code is None else code
            message = {"type": "websocket.disconnect", "code": code, "reason": reason or "" if wasClean else ""}
            self.inbox.put_nowait(message)
        self.server.log_action("websocket", "disconnected", {"path": self.request.path, "client": _address(self)})

    def handle_exception(self, exception: BaseException | None = None) -> None:
        """The application has failed: the client is told so, and nothing of why."""
        if self.state == self.STATE_CONNECTING:
            self.deny(500)
        else:
            self.close(FAILED, "internal error")

    def application_returned(self) -> None:
        """An application that has ended reads and sends no more."""
        if self.state == self.STATE_CONNECTING:
            self.deny(500)
        else:
            self.close(NORMAL)

    def check_timeouts(self) -> None:
        """Called by the server, often."""
        now, limits = monotonic(), self.server.limits
        silent = now - self.heard_at
        if self.state == self.STATE_CONNECTING:
            if now - self.opened_at > self.server.websocket_connect_timeout >= 0:
                logger.warning("the application has neither accepted nor refused %r in time", self.path)
                self.deny(503)
        elif self.state == self.STATE_OPEN and self.inbox is not None and not self.inbox.was_full:
            if silent >= limits.idle_timeout:
                self.close(IDLE, "idle")
            elif silent >= self.server.ping_interval and now - self.pinged_at >= self.server.ping_interval:
                self.pinged_at = now
                self.write(frames.PING)
        if 0 <= self.server.websocket_timeout < now - self.opened_at:
            self.close(NORMAL, "open for too long")


class WireFactory(WebSocketFactory):  # type: ignore[misc]
    """Makes a Wire of a connection that asks for an upgrade."""

    protocol = Wire


def _content(message: dict[str, Any]) -> str | bytes:
    text, data = message.get("text"), message.get("bytes")
    if (text is None) == (data is None):
        raise ValueError("websocket.send carries either text or bytes")
    content: Any = text if data is None else data
    if not isinstance(content, str if data is None else bytes | bytearray | memoryview):
        raise TypeError(f"websocket.send carries str as text and bytes as bytes, not {type(content).__name__}")
    return content if isinstance(content, str | bytes) else bytes(content)


def _checked(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Header lines that stay the lines they are."""
    checked = [(bytes(name), bytes(value)) for name, value in headers]
    for name, value in checked:
        if {*name, *value} & {10, 13, 0} or not name:
            raise ValueError(f"not a header: {name!r}: {value!r}")
    return checked


def _held_by(transport: Any) -> int:
    """Bytes that a transport, or the one beneath it, has not handed to the kernel."""
    while not hasattr(transport, "dataBuffer"):
        transport = getattr(transport, "transport", None)
        if transport is None:
            return 0
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


def _nothing() -> None:
    """What there is to do when nobody is there any more."""


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _address(wire: Wire) -> str | None:
    return "{}:{}".format(*wire.client_addr) if wire.client_addr else None
