"""Text is UTF-8, RFC 6455 section 8.1: valid wherever it is split, and 1007 for what is not."""

import pytest

from tests.wire import frames
from tests.wire.client import Everywhere, together
from tests.wire.frames import Message, Opcode

NOT_UTF8 = 1007

VALID = {
    "Greek": "κόσμε",
    "the longest of each length": "\x7f\u07ff\uffff\U0010ffff",
    "the shortest of each length": "\x00\x80\u0800\U00010000",
    "around the surrogates": "\ud7ff\ue000",
    "not characters, but encoded": "\ufdd0\ufffe\U0001ffff",
    "a family of several code points": "👨‍👩‍👧",
    "a byte order mark": "\ufeffx",
}

INVALID = {
    "a continuation alone": b"\x80",
    "two continuations": b"\x80\xbf",
    "a start without its continuation": b"\xc3\x28",
    "two starts": b"\xc3\xc3\xa9",
    "overlong in two": b"\xc0\xaf",
    "overlong in two, the last": b"\xc1\xbf",
    "overlong in three": b"\xe0\x80\xaf",
    "overlong in three, the last": b"\xe0\x9f\xbf",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "overlong in four, the last": b"\xf0\x8f\xbf\xbf",
    "an overlong NUL": b"\xc0\x80",
    "the first surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "just above the last": b"\xf4\x90\x80\x80",
    "far above the last": b"\xf7\xbf\xbf\xbf",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "cut after one of two": b"\xce",
    "cut after two of three": b"\xe1\xbd",
    "cut after one of three": b"\xe2",
    "cut after three of four": b"\xf0\x9f\x98",
    "cut after two of four": b"\xf0\x9f",
}


@pytest.mark.parametrize("content", VALID.values(), ids=list(VALID))
async def test_valid_text_may_be_split_anywhere(echo: Everywhere, content: str) -> None:
    encoded = content.encode()
    splits = [[encoded[:at], encoded[at:]] for at in range(len(encoded) + 1)]
    splits.append([bytes([byte]) for byte in encoded])
    stream = b"".join(b"".join(frames.fragments(Opcode.TEXT, split)) for split in splits)
    await echo.answers(stream, [Message(Opcode.TEXT, encoded)] * len(splits))


@pytest.mark.parametrize("content", INVALID.values(), ids=list(INVALID))
async def test_h54_invalid_text_is_answered_with_1007(echo: Everywhere, content: bytes) -> None:
    await echo.fails(frames.frame(Opcode.TEXT, content), NOT_UTF8)
    await echo.fails(frames.frame(Opcode.TEXT, b"caf\xc3\xa9 " + content), NOT_UTF8)


@pytest.mark.parametrize("content", INVALID.values(), ids=list(INVALID))
async def test_h54_invalid_text_in_fragments_is_answered_with_1007(echo: Everywhere, content: bytes) -> None:
    around = b"caf\xc3\xa9" + content
    splits = {f"split at {at}": [around[:at], around[at:]] for at in range(len(around) + 1)}
    splits["one byte each"] = [bytes([byte]) for byte in around]
    splits["and more after it"] = [around, b"", b"!"]
    await together(
        {
            f"{name}, {split}": target.fails(b"".join(frames.fragments(Opcode.TEXT, pieces)), NOT_UTF8)
            for name, target in echo.targets.items()
            for split, pieces in splits.items()
        }
    )


async def test_long_text_is_checked_to_its_last_byte(echo: Everywhere) -> None:
    for size in (125, 126, 70_000):
        await echo.fails(frames.frame(Opcode.TEXT, b"x" * (size - 1) + b"\xff"), NOT_UTF8)
        await echo.fails(frames.frame(Opcode.TEXT, b"x" * (size - 1) + b"\xc3"), NOT_UTF8)


@pytest.mark.parametrize("content", INVALID.values(), ids=list(INVALID))
async def test_bytes_may_hold_anything(echo: Everywhere, content: bytes) -> None:
    stream = frames.binary(content) + b"".join(frames.fragments(Opcode.BINARY, [content, content]))
    await echo.answers(stream, [Message(Opcode.BINARY, content), Message(Opcode.BINARY, content * 2)])


@pytest.mark.parametrize("reason", INVALID.values(), ids=list(INVALID))
async def test_h54_an_invalid_reason_is_answered_with_1007(echo: Everywhere, reason: bytes) -> None:
    await echo.fails(frames.close(1000, b"why? " + reason), NOT_UTF8)
