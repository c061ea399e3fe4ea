"""Whole messages, of every length the wire writes differently: what goes in comes back."""

import os

import pytest

from tests.wire import frames
from tests.wire.client import Everywhere
from tests.wire.frames import Message, Opcode

SIZES = (0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 65_535, 65_536, 1024 * 1024)
MASKS = (bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01", b"\x80\x00\x00\x00")


@pytest.mark.parametrize("size", SIZES)
async def test_binary_comes_back_intact(echo: Everywhere, size: int) -> None:
    content = os.urandom(size)
    await echo.answers(frames.binary(content), [Message(Opcode.BINARY, content)])


@pytest.mark.parametrize("size", SIZES)
async def test_text_comes_back_intact(echo: Everywhere, size: int) -> None:
    characters = "żółw 🐢 ".encode() * (size // 13)  # whole characters, and what is left over in x
    content = characters.ljust(size, b"x")
    await echo.answers(frames.frame(Opcode.TEXT, content), [Message(Opcode.TEXT, content)])


@pytest.mark.parametrize("content", ["", "\0", "a\0b", "\r\n", "長い 🚀", "\ufeffmarked", "\uffff"])
async def test_z03_h27_text_is_not_changed(echo: Everywhere, content: str) -> None:
    await echo.answers(frames.text(content), [Message(Opcode.TEXT, content.encode())])


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff\xfe", b"\x81\x00"])
async def test_z03_h27_bytes_are_not_changed(echo: Everywhere, content: bytes) -> None:
    await echo.answers(frames.binary(content), [Message(Opcode.BINARY, content)])


@pytest.mark.parametrize("mask", MASKS, ids=bytes.hex)
async def test_every_mask_is_taken_off(echo: Everywhere, mask: bytes) -> None:
    stream = b"".join(frames.frame(Opcode.BINARY, b"\x00\xff1234567"[:size], mask=mask) for size in range(9))
    await echo.answers(stream, [Message(Opcode.BINARY, b"\x00\xff1234567"[:size]) for size in range(9)])


async def test_h11_text_and_binary_keep_their_kinds_and_their_order(echo: Everywhere) -> None:
    stream = b"".join(frames.text(f"{n}") + frames.binary(b"%d" % n) for n in range(30))
    expected = [Message(kind, b"%d" % n) for n in range(30) for kind in (Opcode.TEXT, Opcode.BINARY)]
    await echo.answers(stream, expected)


async def test_a_long_train_of_messages_is_answered_in_order(echo: Everywhere) -> None:
    contents = [b"%d:" % number + b"x" * (number % 300) for number in range(1_000)]
    stream = b"".join(map(frames.binary, contents))
    await echo.answers(stream, [Message(Opcode.BINARY, content) for content in contents])
