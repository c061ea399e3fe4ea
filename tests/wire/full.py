"""A server whose one application fills the kernel's buffer, and sends an event when a pong waits behind it.

The kernel has room for the event by then, and the loop has not turned since. `python -m tests.wire.full ENDPOINT`.
"""

import asyncio
import select
import socket
import sys
from contextlib import suppress
from typing import Any

from realtime_project.feeds import Event, Run
from realtime_project.frames import EXTENSION, frame
from realtime_project.server import Server
from tests.wire.echo import echo

FILLING = frame("x" * 1_000)
SMALL_BUFFER = 4608  # bytes: the least that the kernel allows


async def fill(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await echo(scope, receive, send)
        return
    wire = scope["extensions"][EXTENSION]
    await send({"type": "websocket.accept"})
    wire.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    await send({"type": "websocket.send", "text": "first"})
    while not wire.lane.free:
        await asyncio.sleep(0)
    left = fill_up(wire.transport.socket, b"")
    print("full", flush=True)  # the test reads it in the log
    while not wire.transport.dataBuffer and not wire.transport._tempDataBuffer:
        await asyncio.sleep(0)
        left = fill_up(wire.transport.socket, left)  # the client's kernel may have taken some of it
    print("held", flush=True)
    select.select([], [wire.transport.socket], [])
    assert wire.transport.socket.send(left) == len(left)
    publish(wire, "event")
    while not wire.lane.free:
        wire.write(FILLING)
        await asyncio.sleep(0.01)
    publish(wire, "again")
    while (await receive())["type"] != "websocket.disconnect":
        pass


def fill_up(endpoint: socket.socket, left: bytes) -> bytes:
    """Send until the kernel takes no more; what is left of a frame then."""
    with suppress(BlockingIOError):
        while True:
            left = left or FILLING
            left = left[endpoint.send(left) :]
    return left


def publish(wire: Any, content: str) -> None:
    """As what goes to thousands is sent: straight to the socket where nothing else waits to leave."""
    run = Run([Event(content)])
    if not wire.lane.write(run):
        wire.write(run.frames)


if __name__ == "__main__":
    Server(application=fill, endpoints=sys.argv[1:]).run()
