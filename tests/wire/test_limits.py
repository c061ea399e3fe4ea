"""The size of a message: exactly WEBSOCKET_MAX_MESSAGE_SIZE passes, one byte more is 1009, and is not waited for.

An endpoint's own, lower limit is kept the same way.
"""

import asyncio

import pytest

from tests.helpers import Server
from tests.wire import frames
from tests.wire.client import Everywhere, Target
from tests.wire.frames import Message, Opcode
from tests.wire.limits import LIMIT, SMALL

TOO_BIG = 1009


@pytest.fixture
def small(application: Server) -> Everywhere:
    return Everywhere({"small": Target(application.port, "/ws/small/")})


@pytest.fixture(params=["the setting's", "the endpoint's"])
def limited(request: pytest.FixtureRequest, echo: Everywhere, small: Everywhere) -> tuple[Everywhere, int]:
    return {"the setting's": (echo, LIMIT), "the endpoint's": (small, SMALL)}[request.param]


def head(opcode: int, size: int, fin: bool = True) -> bytes:
    """A frame that promises so many bytes, without them."""
    length = b"\x7f" + size.to_bytes(8, "big") if size > 65_535 else b"\x7e" + size.to_bytes(2, "big")
    return frames.frame(opcode, b"", fin=fin, length=length)


async def test_h46_a_message_of_exactly_the_limit_passes(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    await echo.answers(frames.binary(b"x" * limit), [Message(Opcode.BINARY, b"x" * limit)])


async def test_h46_also_in_fragments_and_with_pings_between_them(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    pieces = frames.fragments(Opcode.TEXT, [b"x" * (limit // 4)] * 4)
    expected = [Message(Opcode.PONG, b"p" * 125)] * 4 + [Message(Opcode.TEXT, b"x" * limit)]
    await echo.answers(b"".join(frames.ping(b"p" * 125) + piece for piece in pieces), expected)


async def test_h46_each_message_has_the_limit_for_itself(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    fragmented = b"".join(frames.fragments(Opcode.BINARY, [b"x" * (limit - 1), b"x"]))
    await echo.answers((frames.binary(b"x" * limit) + fragmented) * 2, [Message(Opcode.BINARY, b"x" * limit)] * 4)


@pytest.mark.parametrize("kind", [Opcode.TEXT, Opcode.BINARY])
async def test_h46_one_byte_more_is_answered_with_1009(limited: tuple[Everywhere, int], kind: Opcode) -> None:
    echo, limit = limited
    await echo.fails(frames.frame(kind, b"x" * (limit + 1)), TOO_BIG)


async def test_h46_the_limit_counts_bytes_not_characters(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    await echo.fails(frames.text("ż" * (limit // 2 + 1)), TOO_BIG)


async def test_h47_one_byte_more_in_fragments_is_answered_with_1009(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    for pieces in ([b"x" * limit, b"x"], [b"x", b"x" * limit], [b"x" * (limit // 4)] * 4 + [b"", b"x"]):
        await echo.fails(b"".join(frames.fragments(Opcode.BINARY, pieces)), TOO_BIG)


async def test_h47_fragments_that_never_end_are_answered_with_1009(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    piece = frames.frame(Opcode.CONTINUATION, b"x" * (limit // 8), fin=False)
    await echo.fails(frames.frame(Opcode.BINARY, b"", fin=False) + piece * 9, TOO_BIG)


async def test_h46_the_header_alone_is_enough_for_1009(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    for size in (limit + 1, 1 << 32, (1 << 63) - 1):
        await echo.fails(head(Opcode.BINARY, size), TOO_BIG)


async def test_h47_so_is_the_header_of_a_fragment(limited: tuple[Everywhere, int]) -> None:
    echo, limit = limited
    begun = frames.frame(Opcode.BINARY, b"x" * (limit // 2), fin=False)
    await echo.fails(begun + head(Opcode.CONTINUATION, limit // 2 + 1), TOO_BIG)
    await echo.fails(begun + head(Opcode.CONTINUATION, limit // 2 + 1, fin=False), TOO_BIG)


async def test_h46_who_goes_on_sending_still_reads_why(limited: tuple[Everywhere, int]) -> None:
    """A server that ended the connection with bytes unread would reset it, and the close frame could be lost."""
    echo, limit = limited
    for target in echo.targets.values():
        async with target.open() as connection:
            flood = asyncio.create_task(connection.send(frames.binary(b"x" * 32 * limit), 65_536))
            assert (await connection.until_close())[-1].code == TOO_BIG
            flood.cancel()
            await asyncio.wait([flood])
