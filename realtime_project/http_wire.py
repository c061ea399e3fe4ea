"""HTTP on the wire: Daphne's request and channel, where a WebSocket begins as a request to be upgraded.

The rule: a request that is no sound handshake is answered with the status that says why; one that does not arrive in
time, whose body is too long, or for which there is no descriptor left, does not stay.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import fcntl
import re
import sys
import termios
from typing import Any, Protocol

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.web.http import HTTPChannel

from .limits import Limits

TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
PACE = 500  # bytes a second at least, of the body of a request
LINGER = 2.0  # seconds that a client has to read why its body was refused, and to stop sending it
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 42\r\n\r\nThis server is full. Try again in a while."
)
TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 38\r\n\r\nThe body of this request is too large."
)


class TooLarge(Exception):
    """The body of a request has more bytes than it may."""


class Home(Protocol):
    """The server, as its channels see it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop

    def has_room_for(self, descriptor: int) -> bool: ...


class Request(WebRequest):  # type: ignore[misc]
    """A request: for a page, or for a WebSocket."""

    def __init__(self, *arguments: Any) -> None:
        """Forms are the application's to read: here that takes seconds, during which nobody else is served."""
        super().__init__(*arguments, parsePOSTFormSubmission=False)

    def process(self) -> Any:
        if self.asks_for_websocket and (refusal := self._refusal()):
            status, phrase, why = refusal
            if status == 426:
                self.setHeader(b"sec-websocket-version", b"13")
                self.setHeader(b"upgrade", b"websocket")
            self.setHeader(b"connection", b"Upgrade, close" if status == 426 else b"close")
            self.basic_error(status, phrase, why)
            return None
        result = super().process()
        if self.transport is None:  # upgraded: Daphne has handed it on
            self.channel.hand_on()
        return result

    def handleContentChunk(self, data: bytes) -> None:
        """A part of the body, without the marks between chunks. All of it will stand in memory at once, later."""
        if self.content.tell() + len(data) > self.server.limits.max_body:
            raise TooLarge
        super().handleContentChunk(data)

    @property
    def asks_for_websocket(self) -> bool:
        return bool(self.requestHeaders.getRawHeaders(b"upgrade", [b""])[0].lower() == b"websocket")

    def _refusal(self) -> tuple[int, bytes, str] | None:
        """What is wrong with a handshake (RFC 6455, section 4.2.1)."""
        if self.method != b"GET":
            return 405, b"Method Not Allowed", "A WebSocket begins with GET."
        if self.clientproto != b"HTTP/1.1":
            return 505, b"HTTP Version Not Supported", "A WebSocket begins with HTTP/1.1."
        if b"upgrade" not in re.split(rb"[ \t]*,[ \t]*", b",".join(self._lines(b"connection")).lower()):
            return 400, b"Bad Request", "Connection: Upgrade is missing."
        if self._lines(b"sec-websocket-version") != [b"13"]:
            return 426, b"Upgrade Required", "Version 13 of the protocol is spoken here."
        keys = self._lines(b"sec-websocket-key")
        if len(keys) != 1 or not _is_key(keys[0]):
            return 400, b"Bad Request", "Sec-WebSocket-Key must be one, of 16 bytes in base64."
        if any(not TOKENS.fullmatch(line.strip()) for line in self._lines(b"sec-websocket-protocol")):
            return 400, b"Bad Request", "Sec-WebSocket-Protocol must be a list of tokens."
        return None

    def _lines(self, name: bytes) -> list[bytes]:
        lines: list[bytes] = self.requestHeaders.getRawHeaders(name, [])
        return lines


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key.strip(), validate=True)) == 16
    except binascii.Error:
        return False


class Channel(HTTPChannel):  # type: ignore[misc]
    """A TCP connection, until it becomes a WebSocket."""

    _deadline: Any = None
    _heard = False  # anything was read since the last look
    _body: int | None = None  # bytes of a request's body since the last look at it
    _refused = False
    _lingers = False  # refused, but read for a moment: a reset could overtake the answer
    _successor: Any = None  # the protocol that the connection belongs to now

    def connectionMade(self) -> None:
        server: Home = self.factory.server
        self._refused = not server.has_room_for(_descriptor(self.transport))
        super().connectionMade()
        if self._refused:
            self.transport.write(FULL)
        self._expect(1 if self._refused else server.limits.handshake_timeout)

    def dataReceived(self, data: bytes) -> None:
        if self._lingers:
            return
        if self._refused:  # read, so that the answer is not lost in a reset
            self.transport.loseConnection()
            return
        if self._deadline is None and not self.requests:
            self._expect(self.factory.server.limits.handshake_timeout)
        self._heard = True
        super().dataReceived(data)

    def rawDataReceived(self, data: bytes) -> None:
        if self._successor is not None:  # it came in the same segment as the handshake
            self._successor.dataReceived(data)
        elif not self._refused:
            if self._body is not None:
                self._body += len(data)
            try:
                super().rawDataReceived(data)
            except TooLarge:
                self._refuse_body()

    def hand_on(self) -> None:
        """The connection is a WebSocket's now."""
        self._successor = getattr(self.transport, "wrappedProtocol", None) or self.transport.protocol  # TLS, or not
        self.requests.clear()  # which refer to this channel: neither is needed any more

    def allHeadersReceived(self) -> None:
        if self.length != 0:
            if self.requests[-1].asks_for_websocket:  # with a body, which nobody sends and nobody would read
                self._refused = True
                self._respondToBadRequestAndDisconnect()
                return
            if self.length is not None and self.length > self.factory.server.limits.max_body:
                self._refuse_body()  # at once: it is not even told to continue
                return
            self._body = 0
            self._expect(self.factory.server.limits.handshake_timeout)
        super().allHeadersReceived()

    def _refuse_body(self) -> None:
        self._refused = self._lingers = True
        self._body = None
        self.transport.write(TOO_LARGE)
        if self.isSecure():
            self.loseConnection()  # which waits for the client's own goodbye
        else:
            self.transport.loseWriteConnection()
        self._expect(LINGER)

    def allContentReceived(self) -> None:
        self._body = None
        self._cancel()
        super().allContentReceived()

    def connectionLost(self, reason: Any) -> None:
        self._cancel()
        super().connectionLost(reason)

    def _expect(self, patience: float) -> None:
        """The head of a request has to come in time, however many bytes of it keep coming."""
        self._cancel()
        self._heard = False
        self._deadline = self.factory.server.loop.call_later(patience, self._late, patience)

    def _late(self, patience: float) -> None:
        """A body may take as long as it likes, but not crawl. What waits in the kernel is not the client's delay."""
        if self._body is not None and self._body >= PACE * patience:
            self._body = 0
            self._expect(patience)
        elif self._waits_to_be_read():  # thousands have come back at once: cut, they would come yet again
            self._expect(patience)
        else:
            self.transport.abortConnection()

    def _waits_to_be_read(self) -> bool:
        """Something has come, and nothing was read since the last look, although nothing but time was missing."""
        if self._heard or self._refused or self._waitingForTransport:  # the last: a client that takes no answers
            return False
        waiting = fcntl.ioctl(_descriptor(self.transport), termios.FIONREAD, bytes(4))
        return int.from_bytes(waiting, sys.byteorder) > 0

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _descriptor(transport: Any) -> int:
    while not hasattr(transport, "fileno"):
        transport = transport.transport
    return int(transport.fileno())


class Channels(HTTPFactory):  # type: ignore[misc]
    """Makes a Channel of each TCP connection. HTTP/2 has no WebSockets here, and is left to a proxy."""

    protocol = Channel

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        return protocol
