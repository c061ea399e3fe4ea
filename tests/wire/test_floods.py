"""What costs a client little must not cost the server much: pings whose pongs nobody reads, and crumbs of fragments."""

import asyncio
import os
from pathlib import Path
from typing import cast

from tests.helpers import Server
from tests.wire import frames
from tests.wire.client import Target, Wire
from tests.wire.frames import Message, Opcode

MIB = 1024 * 1024
DIGESTED = 60.0  # seconds to read it all, which takes some of its processor's time
GROWTH = 12 * MIB  # of a server's memory: its buffers, and what allocators keep


def resident(server: Server) -> int:
    """Bytes of memory that the server has now (proc(5), statm)."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def offer(connection: Wire, train: bytes, times: int) -> None:
    """Sends it again and again, until the server takes no more for two seconds or has ended the connection."""
    try:
        for _ in range(times):
            connection.writer.write(train)
            await asyncio.wait_for(connection.writer.drain(), 2)
    except (TimeoutError, ConnectionError):
        pass


async def digested(connection: Wire) -> None:
    """All that was offered has been read by the server; or it has ended the connection, which is an answer too."""
    try:
        await connection.send(frames.ping(b"digested?"))
        await connection.receive(DIGESTED)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass


async def warmed(server: Server) -> Target:
    target = Target(server.port, "/")
    await target.answers(frames.binary(b"x" * MIB), [Message(Opcode.BINARY, b"x" * MIB)])
    return target


async def test_z17_pings_whose_pongs_nobody_reads_cost_little(fresh: Server) -> None:
    target = await warmed(fresh)
    before = resident(fresh)
    async with target.open() as connection:
        cast(asyncio.ReadTransport, connection.writer.transport).pause_reading()
        await offer(connection, frames.ping(b"x" * 125) * 8_000, 40)
        grown = resident(fresh) - before
        connection.drop()
    assert grown < GROWTH, f"the server grew by {grown / MIB:.1f} MiB"


async def test_h46_a_message_in_crumbs_costs_no_more_than_a_few_times_its_size(fresh: Server) -> None:
    target = await warmed(fresh)
    before = resident(fresh)
    async with target.open() as connection:
        await connection.send(frames.frame(Opcode.BINARY, b"", fin=False))
        await offer(connection, frames.frame(Opcode.CONTINUATION, b"xy", fin=False) * 20_000, 20)
        await digested(connection)
        grown = resident(fresh) - before
        connection.drop()
    assert grown < GROWTH, f"the server grew by {grown / MIB:.1f} MiB for a message of 0.8 MiB"


async def test_h46_empty_fragments_without_end_cost_nothing(fresh: Server) -> None:
    target = await warmed(fresh)
    before = resident(fresh)
    async with target.open() as connection:
        await connection.send(frames.frame(Opcode.BINARY, b"", fin=False))
        await offer(connection, frames.frame(Opcode.CONTINUATION, b"", fin=False) * 20_000, 60)
        await digested(connection)
        grown = resident(fresh) - before
        connection.drop()
    assert grown < GROWTH // 2, f"the server grew by {grown / MIB:.1f} MiB for an empty message"
