"""Messages in fragments, RFC 6455 section 5.4, with control frames between them."""

import os

import pytest

from tests.wire import frames
from tests.wire.client import Everywhere
from tests.wire.frames import Message, Opcode

PIECES = {
    "two": [b"abc", b"def"],
    "five": [b"a", b"bc", b"d", b"ef", b"ghi"],
    "one byte each": [bytes([byte]) for byte in b"one byte each"],
    "the first empty": [b"", b"abc"],
    "the last empty": [b"abc", b""],
    "empty between": [b"abc", b"", b"", b"def"],
    "all empty": [b"", b"", b""],
    "first and last empty": [b"", b"abc", b""],
}


@pytest.mark.parametrize("kind", [Opcode.TEXT, Opcode.BINARY])
@pytest.mark.parametrize("pieces", PIECES.values(), ids=list(PIECES))
async def test_fragments_are_one_message(echo: Everywhere, kind: Opcode, pieces: list[bytes]) -> None:
    await echo.answers(b"".join(frames.fragments(kind, pieces)), [Message(kind, b"".join(pieces))])


async def test_long_fragments_are_one_message(echo: Everywhere) -> None:
    pieces = [os.urandom(size) for size in (125, 126, 65_535, 65_536, 1, 200_000)]
    await echo.answers(b"".join(frames.fragments(Opcode.BINARY, pieces)), [Message(Opcode.BINARY, b"".join(pieces))])


async def test_a_thousand_fragments_are_one_message(echo: Everywhere) -> None:
    pieces = [b"%d," % number for number in range(1_000)]
    await echo.answers(b"".join(frames.fragments(Opcode.TEXT, pieces)), [Message(Opcode.TEXT, b"".join(pieces))])


async def test_fragmented_and_whole_messages_follow_each_other(echo: Everywhere) -> None:
    stream = b"".join(
        [
            *frames.fragments(Opcode.TEXT, [b"a", b"b"]),
            frames.binary(b"whole"),
            *frames.fragments(Opcode.BINARY, [b"\x80", b"\x81"]),
            *frames.fragments(Opcode.TEXT, [b"", b""]),
            frames.text("end"),
        ]
    )
    expected = [(Opcode.TEXT, b"ab"), (Opcode.BINARY, b"whole"), (Opcode.BINARY, b"\x80\x81")]
    expected += [(Opcode.TEXT, b""), (Opcode.TEXT, b"end")]
    await echo.answers(stream, [Message(kind, content) for kind, content in expected])


async def test_h54_pings_between_fragments_are_answered_before_the_message(echo: Everywhere) -> None:
    pieces = frames.fragments(Opcode.TEXT, [b"a", b"b", b"c"])
    stream = pieces[0] + frames.ping(b"1") + pieces[1] + frames.ping(b"2") + frames.ping(b"3") + pieces[2]
    pongs = [Message(Opcode.PONG, payload) for payload in (b"1", b"2", b"3")]
    await echo.answers(stream, [*pongs, Message(Opcode.TEXT, b"abc")])


async def test_a_ping_is_answered_although_its_message_never_ends(echo: Everywhere) -> None:
    stream = frames.frame(Opcode.BINARY, b"unfinished", fin=False) + frames.ping(b"still here")
    await echo.answers(stream, [Message(Opcode.PONG, b"still here")])


async def test_an_unasked_pong_between_fragments_changes_nothing(echo: Everywhere) -> None:
    first, second = frames.fragments(Opcode.TEXT, [b"a", b"b"])
    await echo.answers(first + frames.frame(Opcode.PONG, b"unasked") + second, [Message(Opcode.TEXT, b"ab")])


async def test_a_close_between_fragments_ends_the_connection(echo: Everywhere) -> None:
    await echo.closes(frames.frame(Opcode.TEXT, b"unfinished", fin=False) + frames.close(1001), 1001)
