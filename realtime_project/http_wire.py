"""HTTP on the wire: Daphne's request and channel, where a WebSocket begins as a request to be upgraded.

The rule: a request that is no sound handshake is answered with the status that says why; one that does not arrive in
time, or for which there is no descriptor left, does not stay.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from typing import Any, Protocol

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.web.http import HTTPChannel, _GenericHTTPChannelProtocol

from .limits import Limits

TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 42\r\n\r\nThis server is full. Try again in a while."
)


class Home(Protocol):
    """The server, as its channels see it."""

    limits: Limits
    loop: asyncio.AbstractEventLoop

    def has_room_for(self, descriptor: int) -> bool: ...


class Request(WebRequest):  # type: ignore[misc]
    """A request: for a page, or for a WebSocket."""

    def process(self) -> Any:
        upgrade = self.requestHeaders.getRawHeaders(b"upgrade", [b""])[0]
        if upgrade.lower() == b"websocket" and (refusal := self._refusal()):
            status, phrase, why = refusal
            if status == 426:
                self.setHeader(b"sec-websocket-version", b"13")
                self.setHeader(b"upgrade", b"websocket")
            self.setHeader(b"connection", b"Upgrade, close" if status == 426 else b"close")
            self.basic_error(status, phrase, why)
            return None
        return super().process()

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
    _refused = False

    def connectionMade(self) -> None:
        server: Home = self.factory.server
        self._refused = not server.has_room_for(_descriptor(self.transport))
        super().connectionMade()
        if self._refused:
            self.transport.write(FULL)
        self._expect(1 if self._refused else server.limits.handshake_timeout)

    def dataReceived(self, data: bytes) -> None:
        if self._refused:  # read, so that the answer is not lost in a reset
            self.transport.loseConnection()
            return
        if self._deadline is None and not self.requests:
            self._expect(self.factory.server.limits.handshake_timeout)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        self._cancel()
        super().allHeadersReceived()

    def connectionLost(self, reason: Any) -> None:
        self._cancel()
        super().connectionLost(reason)

    def _expect(self, patience: float) -> None:
        """The head of a request has to come in time, however many bytes of it keep coming."""
        self._deadline = self.factory.server.loop.call_later(patience, self.transport.abortConnection)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _descriptor(transport: Any) -> int:
    while not hasattr(transport, "fileno"):
        transport = transport.transport
    return int(transport.fileno())


class Channels(HTTPFactory):  # type: ignore[misc]
    """Makes a Channel of each TCP connection."""

    def protocol(self) -> Any:
        return _GenericHTTPChannelProtocol(Channel())

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = Request
        return protocol
