"""What one client does wrong is its own affair: another's connection lives on, and answers meanwhile."""

import asyncio
import os

import pytest

from tests.wire import frames
from tests.wire.client import Everywhere, Target, together, wire
from tests.wire.frames import Message, Opcode

MISDEEDS = 200


async def violate(target: Target, number: int) -> None:
    await target.fails(frames.text("x") + frames.frame(3 + number % 5), 1002, [Message(Opcode.TEXT, b"x")])


async def drop(target: Target, number: int) -> None:
    """A reset in the middle of a frame."""
    async with target.open() as connection:
        await connection.send(frames.binary(b"x" * 10_000)[: number * 37 + 1])
        connection.drop()


async def leave(target: Target, number: int) -> None:
    """An orderly end of the TCP connection, without a close frame, in the middle of a message."""
    async with target.open() as connection:
        await connection.send(frames.frame(Opcode.TEXT, b"begun", fin=False))


async def leave_in_the_handshake(target: Target, number: int) -> None:
    async with wire(target.port) as connection:
        await connection.send(target.handshake()[: number % 150])


async def babble(target: Target, number: int) -> None:
    async with wire(target.port) as connection:
        await connection.send(os.urandom(500) + b"\r\n\r\n")


WRONG = (violate, drop, leave, leave_in_the_handshake, babble)


@pytest.mark.parametrize("name", ["bare", "application"])
async def test_h42_many_who_do_wrong_leave_another_alone(echo: Everywhere, name: str) -> None:
    target = echo.targets[name]
    async with target.open() as witness:
        everyone = together({f"{number}": WRONG[number % len(WRONG)](target, number) for number in range(MISDEEDS)})
        misdeeds = asyncio.create_task(everyone)
        rounds = 0
        while not misdeeds.done() or not rounds:
            await witness.send(frames.text(str(rounds)) + frames.ping())
            came = await witness.receive_many(2)
            assert Message(Opcode.TEXT, str(rounds).encode()) in came
            assert Message(Opcode.PONG) in came
            rounds += 1
        await misdeeds
        await witness.bye()
    assert rounds > 1
