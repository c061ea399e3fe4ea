"""Frames that RFC 6455 forbids: the client is told 1002, and the connection ends."""

import asyncio

import pytest

from tests.helpers import PATIENCE
from tests.wire import frames
from tests.wire.client import Everywhere, Target, together
from tests.wire.frames import Message, Opcode, frame

PROTOCOL_ERROR = 1002
RESERVED = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
BEGUN = frame(Opcode.TEXT, b"begun", fin=False)

# Section 5.4
ORDER = {
    "a continuation of nothing": frame(Opcode.CONTINUATION, b"x"),
    "an unfinished continuation of nothing": frame(Opcode.CONTINUATION, b"x", fin=False),
    "an empty continuation of nothing": frame(Opcode.CONTINUATION),
    "text within a message": BEGUN + frame(Opcode.TEXT, b"another"),
    "binary within a message": BEGUN + frame(Opcode.BINARY, b"another"),
    "a new message in fragments within a message": BEGUN + frame(Opcode.BINARY, b"another", fin=False),
    "text within a binary message": frame(Opcode.BINARY, b"", fin=False) + frame(Opcode.TEXT, b"another"),
    "text after a continuation": BEGUN + frame(Opcode.CONTINUATION, b"x", fin=False) + frame(Opcode.TEXT, b"another"),
}

# Section 5.1
UNMASKED = {
    "unmasked text": frame(Opcode.TEXT, b"bare", mask=None),
    "unmasked binary": frame(Opcode.BINARY, b"bare", mask=None),
    "unmasked and empty": frame(Opcode.TEXT, b"", mask=None),
    "unmasked and long": frame(Opcode.BINARY, b"bare" * 100, mask=None),
    "an unmasked continuation": BEGUN + frame(Opcode.CONTINUATION, b"bare", mask=None),
    "an unmasked ping": frame(Opcode.PING, b"bare", mask=None),
    "an unmasked close": frame(Opcode.CLOSE, b"\x03\xe8", mask=None),
}

# Section 5.5
CONTROL = {
    "a ping of 126 bytes": frame(Opcode.PING, b"x" * 126),
    "a pong of 126 bytes": frame(Opcode.PONG, b"x" * 126),
    "a close of 126 bytes": frame(Opcode.CLOSE, b"\x03\xe8" + b"x" * 124),
    "a ping of 65536 bytes": frame(Opcode.PING, b"x" * 65_536),
    "a short ping with a long length": frame(Opcode.PING, b"x", length=b"\x7e\x00\x01"),
    "a ping in fragments": frame(Opcode.PING, b"a", fin=False),
    "a pong in fragments": frame(Opcode.PONG, b"a", fin=False),
    "a close in fragments": frame(Opcode.CLOSE, b"\x03\xe8", fin=False),
    "a ping in fragments within a message": BEGUN + frame(Opcode.PING, b"a", fin=False),
}

# Section 5.2: the shortest form MUST be used, and the top bit of the longest MUST be 0. Whoever writes a length
# otherwise has broken the protocol, and nothing in the RFC asks a server to bear with it.
LENGTHS = {
    "16 bits for 5 bytes": frame(Opcode.TEXT, b"hello", length=b"\x7e\x00\x05"),
    "16 bits for 125 bytes": frame(Opcode.TEXT, b"x" * 125, length=b"\x7e\x00\x7d"),
    "64 bits for nothing": frame(Opcode.BINARY, b"", length=b"\x7f" + bytes(8)),
    "64 bits for 5 bytes": frame(Opcode.BINARY, b"hello", length=b"\x7f" + (5).to_bytes(8, "big")),
    "64 bits for 65535 bytes": frame(Opcode.BINARY, b"x" * 65_535, length=b"\x7f" + (65_535).to_bytes(8, "big")),
    "the top bit": frame(Opcode.BINARY, b"", length=b"\x7f" + (1 << 63 | 5).to_bytes(8, "big")) + b"hello",
    "all 64 bits": frame(Opcode.BINARY, b"", length=b"\x7f" + b"\xff" * 8),
}

VIOLATIONS = ORDER | UNMASKED | CONTROL | LENGTHS


@pytest.mark.parametrize("stream", VIOLATIONS.values(), ids=list(VIOLATIONS))
async def test_h54_h55_a_violation_is_answered_with_1002(echo: Everywhere, stream: bytes) -> None:
    await echo.fails(stream, PROTOCOL_ERROR)


@pytest.mark.parametrize("stream", VIOLATIONS.values(), ids=list(VIOLATIONS))
async def test_h54_h55_what_was_legal_is_answered_first(echo: Everywhere, stream: bytes) -> None:
    legal = frames.text("legal") + b"".join(frames.fragments(Opcode.BINARY, [b"le", b"gal"]))
    await echo.fails(legal + stream, PROTOCOL_ERROR, [Message(Opcode.TEXT, b"legal"), Message(Opcode.BINARY, b"legal")])


async def test_h54_a_message_that_has_ended_is_not_continued(echo: Everywhere) -> None:
    stream = b"".join(frames.fragments(Opcode.TEXT, [b"a", b"b"])) + frame(Opcode.CONTINUATION, b"c")
    await echo.fails(stream, PROTOCOL_ERROR, [Message(Opcode.TEXT, b"ab")])


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG])
async def test_h55_reserved_bits(echo: Everywhere, opcode: Opcode, rsv: int) -> None:
    await echo.fails(frame(opcode, b"\x03\xe8", rsv=rsv), PROTOCOL_ERROR)


@pytest.mark.parametrize("rsv", [1, 2, 4])
async def test_h55_reserved_bits_of_a_continuation(echo: Everywhere, rsv: int) -> None:
    await echo.fails(BEGUN + frame(Opcode.CONTINUATION, b"x", rsv=rsv), PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", RESERVED)
@pytest.mark.parametrize("payload", [b"", b"hello"])
async def test_h55_reserved_opcodes(echo: Everywhere, opcode: int, payload: bytes) -> None:
    await echo.fails(frame(opcode, payload), PROTOCOL_ERROR)
    await echo.fails(BEGUN + frame(opcode, payload), PROTOCOL_ERROR)


async def test_h54_a_frame_that_breaks_several_rules_is_answered_once(echo: Everywhere) -> None:
    stream = frame(3, b"x" * 126, fin=False, rsv=7, mask=None)
    await echo.fails(stream, PROTOCOL_ERROR)
    await echo.fails(stream + b"\xff" * 200_000, PROTOCOL_ERROR)
    await echo.fails(frame(11, b"x" * 126, fin=False, rsv=7, mask=None), PROTOCOL_ERROR)


async def test_what_follows_a_violation_is_not_heard(echo: Everywhere) -> None:
    await echo.fails(frame(3) + frames.text("unheard") * 50 + frames.ping(b"unheard"), PROTOCOL_ERROR)


async def test_a_client_that_does_not_answer_the_close_is_cut_all_the_same(echo: Everywhere) -> None:
    for target in echo.targets.values():
        async with target.open() as connection:
            await connection.send(frame(3))
            assert (await connection.until_close())[-1].code == PROTOCOL_ERROR
            await connection.ended()


async def test_a_client_that_does_not_leave_after_its_violation_is_cut(echo: Everywhere) -> None:
    """An end of the server's side alone would leave its descriptor to the client's goodwill."""

    async def stay(target: Target) -> None:
        async with target.open() as connection:
            await connection.send(frame(3))
            await connection.until_close()
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(PATIENCE):
                    while True:
                        await connection.send(b"x")
                        await asyncio.sleep(0.05)

    await together({name: stay(target) for name, target in echo.targets.items()})
