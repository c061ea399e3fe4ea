"""WebSocket frames as bytes, RFC 6455 section 5.2, built and read without any library.

`frame` builds whatever it is asked to, what the RFC forbids included; `read` accepts only what a server may send.
"""

import asyncio
from enum import IntEnum
from typing import NamedTuple

MASK = bytes.fromhex("37fa213d")  # the RFC's own example
NORMAL = 1000


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Message(NamedTuple):
    """What one side said: a whole message, its fragments added up, or a control frame."""

    opcode: Opcode
    payload: bytes = b""

    @property
    def code(self) -> int | None:
        """A close frame's status; None where it carries none."""
        assert self.opcode == Opcode.CLOSE, f"expected a close, got {self!r}"
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()

    def __repr__(self) -> str:
        shown = bytes(self.payload[:40])
        return f"{self.opcode.name}({shown!r}{f'… {len(self.payload)} bytes' if len(self.payload) > 40 else ''})"


def masked(payload: bytes, mask: bytes) -> bytes:
    """XOR with the mask repeated; the same again unmasks."""
    pattern = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(len(payload), "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: bytes | None = None,
) -> bytes:
    """A client's frame. `length` stands in for the length field: its seven bits, then what they promise."""
    size = len(payload)
    if length is None:
        if size < 126:
            length = bytes([size])
        elif size < 1 << 16:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
    first = fin << 7 | rsv << 4 | opcode
    head = bytes([first, length[0] | (mask is not None) << 7]) + length[1:]
    return head + payload if mask is None else head + mask + masked(payload, mask)


def text(content: str) -> bytes:
    return frame(Opcode.TEXT, content.encode())


def binary(content: bytes) -> bytes:
    return frame(Opcode.BINARY, content)


def ping(content: bytes = b"") -> bytes:
    return frame(Opcode.PING, content)


def close(code: int | None = NORMAL, reason: str | bytes = b"") -> bytes:
    return frame(Opcode.CLOSE, close_payload(code, reason))


def close_payload(code: int | None, reason: str | bytes = b"") -> bytes:
    if code is None:
        return b""
    return code.to_bytes(2, "big") + (reason.encode() if isinstance(reason, str) else reason)


def fragments(opcode: int, pieces: list[bytes]) -> list[bytes]:
    """One frame a piece; only the last is final."""
    last = len(pieces) - 1
    return [
        frame(opcode if number == 0 else Opcode.CONTINUATION, piece, fin=number == last)
        for number, piece in enumerate(pieces)
    ]


async def read(reader: asyncio.StreamReader) -> tuple[Opcode, bool, bytes]:
    """The next frame: opcode, whether it is final, payload. Raises IncompleteReadError at the end of the stream."""
    first, second = await reader.readexactly(2)
    assert not first & 0x70, "the server set a reserved bit"
    assert not second & 0x80, "the server masked a frame"
    opcode, fin, size = Opcode(first & 0x0F), bool(first & 0x80), second
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
        assert size > 125, "the server did not use the shortest length"
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
        assert 65_535 < size < 1 << 63, "the server did not use the shortest length"
    if opcode >= Opcode.CLOSE:
        assert fin and size <= 125, "the server sent a control frame that is too long or in fragments"
    return opcode, fin, await reader.readexactly(size)
