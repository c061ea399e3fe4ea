"""A WebSocket client that costs next to nothing, so that what is measured is the server.

It speaks as much of RFC 6455 as a load generator needs: the upgrade, masked text out, whole frames in, pings answered.
"""

import asyncio
import struct
from typing import Self

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the sample of RFC 6455, section 1.3, and what a server must answer to it
ACCEPT = b"s3pplmbitxaq9kygzzhzrbk+xoo="  # in lower case, as the whole response is compared
MASK = b"\x00\x00\x00\x00"  # a mask of zeros leaves the payload as it is: legal, and free
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_shared = bytearray(256 * 1024)  # one buffer for all connections: each reads it to its end within one call
_view = memoryview(_shared)


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole frame from a client (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return header + MASK + payload


class Connection(asyncio.BufferedProtocol):
    """One connection. A subclass says in `arrived` what a message means to it."""

    transport: asyncio.Transport

    def __init__(self, path: str, cookie: str = "") -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", *([f"Cookie: {cookie}"] if cookie else [])]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._rest = b""  # the beginning of a frame whose end has not come yet
        self._open = self._closing = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, port: int) -> Self:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        await self.opened
        return self

    def arrived(self, payload: memoryview) -> None:
        raise NotImplementedError

    def send(self, frame: bytes) -> None:
        self.transport.write(frame)

    def close(self) -> None:
        self._closing = True
        self.transport.abort()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def get_buffer(self, sizehint: int) -> bytearray:
        return _shared

    def buffer_updated(self, size: int) -> None:
        if self._open and not self._rest:
            end = self._frames(_view[:size])
            if end < size:
                self._rest = bytes(_view[end:size])
            return
        received = self._rest + _shared[:size]
        end = self._frames(memoryview(received)) if self._open else self._upgraded(received)
        self._rest = received[end:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("closed before the upgrade"))
        elif not self._closing:  # raising would not be enough: asyncio keeps connection errors to itself
            context = {"message": "lost a connection", "exception": error or ConnectionError("the server hung up")}
            asyncio.get_running_loop().call_exception_handler(context)

    def _upgraded(self, received: bytes) -> int:
        """Reads the response to the upgrade; where in `received` the frames begin."""
        head, found, frames = received.partition(b"\r\n\r\n")
        if not found:
            return 0
        if not head.startswith(b"HTTP/1.1 101") or ACCEPT not in head.lower():
            self.opened.set_exception(ConnectionError(head.decode(errors="replace")))
            self.close()
            return len(received)
        self._open = True
        self.opened.set_result(None)
        return len(received) - len(frames) + self._frames(memoryview(frames))

    def _frames(self, received: memoryview) -> int:
        """Hands on every whole frame; where the first one begins that is not whole."""
        start, size = 0, len(received)
        while size - start >= 2:
            body, length = start + 2, received[start + 1]
            if length == 126:
                body += 2
                if body > size:
                    break
                length = received[start + 2] << 8 | received[start + 3]
            elif length == 127:
                body += 8
                if body > size:
                    break
                length = int.from_bytes(received[start + 2 : body])
            end = body + length
            if end > size:
                break
            opcode = received[start] & 15
            if opcode in (TEXT, BINARY):
                self.arrived(received[body:end])
            elif opcode == PING:
                self.send(masked(bytes(received[body:end]), PONG))
            elif opcode == CLOSE:
                raise ConnectionError(f"closed by the server: {bytes(received[body:end])!r}")
            start = end
        return start
