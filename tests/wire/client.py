"""A WebSocket client that says exactly the bytes it is told to, in the TCP segments it is told to.

A `Target` is one endpoint of a running server. Its verbs are whole conversations, each on a connection of its own:
`answers` for what is legal, `fails` for what is not, `closes` for a close handshake, `shake` for an opening one.
"""

import asyncio
import base64
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, Self

from tests.helpers import PATIENCE
from tests.wire.frames import NORMAL, Message, Opcode, close, close_payload, read

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
BETWEEN_PIECES = 0.0005  # seconds, in which a server that is not busy reads what has come
SEGMENTATIONS: dict[float, tuple[int | None, ...]] = {  # up to so many bytes: bytes a TCP segment, None for all at once
    600: (None, 1, 2, 3, 7),
    200_000: (None, 997),
    float("inf"): (None, 65_521),
}
AT_ONCE = 40  # conversations at the same time


class Response(NamedTuple):
    """The answer to an HTTP request."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    async def send(self, data: bytes, piece: int | None = None) -> None:
        """All of `data`, at once or in segments of `piece` bytes."""
        if piece is None:
            await self.send_pieces([data])
        else:
            await self.send_pieces(data[at : at + piece] for at in range(0, len(data), piece))

    async def send_pieces(self, pieces: Iterable[bytes]) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(BETWEEN_PIECES)
            self.writer.write(piece)
            await asyncio.wait_for(self.writer.drain(), PATIENCE)

    async def receive(self, timeout: float = PATIENCE) -> Message:
        """The next message or control frame. A server's fragments are put together."""
        async with asyncio.timeout(timeout):
            return await self._receive()

    async def _receive(self) -> Message:
        opcode, fin, payload = await read(self.reader)
        assert opcode != Opcode.CONTINUATION, "the server continued a message that it had not begun"
        while not fin:
            following, fin, more = await read(self.reader)
            assert following == Opcode.CONTINUATION, "control frames between the server's fragments are not expected"
            payload += more
        return Message(opcode, payload)

    async def receive_many(self, number: int) -> list[Message]:
        return [await self.receive() for _ in range(number)]

    async def until_close(self) -> list[Message]:
        """What comes until the close frame, that one last."""
        came: list[Message] = []
        while not came or came[-1].opcode != Opcode.CLOSE:
            try:
                came.append(await self.receive())
            except (asyncio.IncompleteReadError, ConnectionError) as end:
                raise AssertionError(f"the connection ended without a close frame, after {came}: {end!r}") from None
            except TimeoutError:
                raise AssertionError(f"no close frame came, after {came}") from None
        return came

    async def ended(self, timeout: float = PATIENCE) -> None:
        """The server closes the TCP connection, and says nothing more before it does."""
        async with asyncio.timeout(timeout):
            rest = await self.reader.read()
        assert not rest, f"more came after the close frame: {rest[:100]!r}"

    async def bye(self) -> None:
        """The close handshake, begun by this side."""
        await self.send(close())
        came = await self.until_close()
        assert came == [Message(Opcode.CLOSE, close_payload(NORMAL))]
        await self.ended()

    async def response(self) -> Response:
        """The head of an HTTP response, and its body but for a 101."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin1")
            status, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            code = int(status.split()[1])
            return Response(code, headers, b"" if code == 101 else await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            return body
        return await self.reader.read()

    async def shut(self) -> None:
        """Closes this side; what the other does is its own affair."""
        self.writer.close()
        with suppress(ConnectionError):
            await asyncio.wait_for(self.writer.wait_closed(), PATIENCE)

    def drop(self) -> None:
        """A reset: no close frame, no orderly end."""
        self.writer.transport.abort()


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    opened = await Wire.open(port)
    try:
        yield opened
    finally:
        await opened.shut()


def new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def accepted_key(key: str) -> str:
    """Sec-WebSocket-Accept, RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def handshake(port: int, path: str, version: str = "HTTP/1.1", **changed: str | None) -> bytes:
    """An opening handshake. Changed headers are written with `_` for `-`; None leaves one out."""
    headers: dict[str, str | None] = {
        "host": f"127.0.0.1:{port}",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": new_key(),
    }
    headers |= {name.replace("_", "-").lower(): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"GET {path} {version}", *lines, "", ""]).encode("latin1")


@dataclass(frozen=True)
class Target:
    """One WebSocket endpoint that sends back what it receives, in kind."""

    port: int
    path: str

    def handshake(self, **changed: str | None) -> bytes:
        return handshake(self.port, self.path, **changed)  # type: ignore[arg-type]  # no header is called `version`

    async def shake(self, request: bytes | None = None, piece: int | None = None) -> Response:
        """The answer to a handshake, on a connection that ends with it."""
        async with wire(self.port) as connection:
            await connection.send(request or self.handshake(), piece)
            return await connection.response()

    @asynccontextmanager
    async def open(self, **headers: str | None) -> AsyncIterator[Wire]:
        """A connection on which the handshake has been made."""
        key = new_key()
        async with wire(self.port) as connection:
            await connection.send(self.handshake(sec_websocket_key=key, **headers))
            answer = await connection.response()
            assert answer.status == 101, answer
            assert answer.headers["sec-websocket-accept"] == accepted_key(key)
            yield connection

    async def answers(self, stream: bytes, expected: Sequence[Message], piece: int | None = None) -> None:
        """The stream is answered with exactly these messages, and the connection then ends in good order."""
        async with self.open() as connection:
            sending = asyncio.create_task(connection.send(stream, piece))
            assert await connection.receive_many(len(expected)) == list(expected)
            await sending
            await connection.bye()

    async def closes(
        self, stream: bytes, codes: Sequence[int | None], before: Sequence[Message] = (), piece: int | None = None
    ) -> None:
        """The stream holds a close frame, answered with one of these codes after `before`, and with nothing else."""
        async with self.open() as connection:
            sending = asyncio.create_task(connection.send(stream, piece))
            *earlier, closing = await connection.until_close()
            assert earlier == list(before)
            assert closing.code in codes, f"closed with {closing.code} {closing.reason!r}"
            try:
                await sending
            except ConnectionError:
                return  # what followed the close frame was still on its way when the server ended the connection
            await connection.ended()

    async def fails(
        self, stream: bytes, code: int, before: Sequence[Message] = (), piece: int | None = None
    ) -> Message:
        """The stream is answered with a close frame of this code, after `before`, and then the connection ends."""
        async with self.open() as connection:
            sending = asyncio.create_task(connection.send(stream, piece))
            *earlier, closing = await connection.until_close()
            assert closing.code == code, f"closed with {closing.code} {closing.reason!r} instead of {code}"
            assert earlier == list(before)
            try:
                await sending
                await connection.send(close(code))
                await connection.ended()
            except ConnectionError:
                pass  # it need not wait for our answer: RFC 6455 section 7.1.7
            return closing


async def together(conversations: Mapping[str, Awaitable[object]]) -> None:
    """Many at once, by name, each on its own connection. All of them end before their failures are raised."""
    free = asyncio.Semaphore(AT_ONCE)
    failures: list[Exception] = []

    async def one(name: str, conversation: Awaitable[object]) -> None:
        async with free:
            try:
                await conversation
            except Exception as failure:
                failures.append(AssertionError(f"{name}: {failure!r}"))

    await asyncio.gather(*(one(name, conversation) for name, conversation in conversations.items()))
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(conversations)} conversations", failures)


@dataclass(frozen=True)
class Everywhere:
    """The same conversation with several targets, by name, and in several segmentations, all at once."""

    targets: Mapping[str, Target]

    async def answers(self, stream: bytes, expected: Sequence[Message]) -> None:
        await self._each(stream, lambda target, piece: target.answers(stream, expected, piece))

    async def fails(self, stream: bytes, code: int, before: Sequence[Message] = ()) -> None:
        await self._each(stream, lambda target, piece: target.fails(stream, code, before, piece))

    async def closes(self, stream: bytes, *codes: int | None, before: Sequence[Message] = ()) -> None:
        await self._each(stream, lambda target, piece: target.closes(stream, codes, before, piece))

    async def _each(self, stream: bytes, talk: Callable[[Target, int | None], Awaitable[object]]) -> None:
        segmentations = next(pieces for most, pieces in SEGMENTATIONS.items() if len(stream) <= most)
        await together(
            {
                f"{name}, {f'{piece} bytes a segment' if piece else 'at once'}": talk(target, piece)
                for name, target in self.targets.items()
                for piece in segmentations
            }
        )
