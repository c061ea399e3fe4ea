"""The close handshake, RFC 6455 sections 5.5.1 and 7: the code is echoed, and the server ends the TCP connection."""

import asyncio

import pytest

from tests.helpers import PATIENCE
from tests.wire import frames
from tests.wire.client import Everywhere, Target, together
from tests.wire.frames import Message, Opcode, frame

# Section 7.4 and the registry that it founds
LEGAL = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
ILLEGAL = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)


@pytest.mark.parametrize("code", LEGAL)
async def test_h54_a_legal_code_is_echoed(echo: Everywhere, code: int) -> None:
    await echo.closes(frames.close(code), code)
    await echo.closes(frames.close(code, "why"), code)


@pytest.mark.parametrize("code", ILLEGAL)
async def test_h54_an_illegal_code_is_answered_with_1002(echo: Everywhere, code: int) -> None:
    await echo.fails(frames.close(code), 1002)
    await echo.fails(frames.close(code, "why"), 1002)


async def test_a_close_without_a_status_is_answered(echo: Everywhere) -> None:
    await echo.closes(frames.close(None), None, 1000)


async def test_h54_half_a_status_is_answered_with_1002(echo: Everywhere) -> None:
    await echo.fails(frames.frame(Opcode.CLOSE, b"\x03"), 1002)


@pytest.mark.parametrize("reason", ["x" * 123, "長" * 41, "🐢" * 30], ids=["ASCII", "three bytes", "four bytes"])
async def test_the_longest_reason_is_taken(echo: Everywhere, reason: str) -> None:
    await echo.closes(frames.close(4000, reason), 4000)


@pytest.mark.parametrize(
    "late",
    [
        frames.text("late"),
        frames.ping(b"late"),
        frames.close(1001),
        frames.frame(3, b"forbidden"),
        frames.frame(Opcode.TEXT, b"\xff"),
        b"\x00" * 1_000,
        frames.binary(b"x" * 100_000),
    ],
    ids=["text", "ping", "a second close", "a reserved opcode", "invalid text", "zeros", "much"],
)
async def test_what_follows_a_close_is_ignored(echo: Everywhere, late: bytes) -> None:
    await echo.closes(frames.close(1000) + late, 1000)


async def test_what_came_before_a_close_is_answered_before_it(echo: Everywhere) -> None:
    """Also in one segment with it: whoever sends one message and leaves gets its echo."""
    said = frames.text("last words") + b"".join(frames.fragments(Opcode.BINARY, [b"and ", b"", b"more"]))
    echoes = [Message(Opcode.TEXT, b"last words"), Message(Opcode.BINARY, b"and more")]
    await echo.closes(said + frames.close(1001), 1001, before=echoes)
    await echo.closes(said + frames.close(1001) + frames.text("late") + frame(3), 1001, before=echoes)
    long = b"x" * 100_000
    await echo.closes(frames.binary(long) + frames.close(1000), 1000, before=[Message(Opcode.BINARY, long)])


async def test_who_ends_its_side_at_once_still_gets_the_answers(echo: Everywhere) -> None:
    """As a shell does that sends what it has and closes its output."""
    for target in echo.targets.values():
        for end, code in ((frames.close(1001), 1001), (frame(3), 1002)):
            async with target.open() as connection:
                connection.writer.write(frames.text("last words") + end)
                connection.writer.write_eof()
                echoed, closing = await connection.until_close()
                assert (echoed, closing.code) == (Message(Opcode.TEXT, b"last words"), code)
                await connection.ended()


async def test_who_goes_on_after_its_close_is_cut_all_the_same(echo: Everywhere) -> None:
    async def stay(target: Target) -> None:
        async with target.open() as connection:
            await connection.send(frames.close())
            assert [message.code for message in await connection.until_close()] == [1000]
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(PATIENCE):
                    while True:
                        await connection.send(frames.text("late"))
                        await asyncio.sleep(0.05)

    await together({name: stay(target) for name, target in echo.targets.items()})


async def test_a_ping_in_one_segment_with_a_close_is_answered(echo: Everywhere) -> None:
    await echo.closes(frames.ping(b"!") + frames.close(1001), 1001, before=[Message(Opcode.PONG, b"!")])
