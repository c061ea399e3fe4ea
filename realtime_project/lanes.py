"""How thousands are written to at once: straight to the socket where nothing waits, else joined, once a turn of the
loop.

The rule: a lane is open only while all that was written before is in the kernel's hands, so that the order is kept.
Pure.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Protocol

FLUSHING = 0.002  # seconds of writing to all of them before the loop may do something else; looked at every so many:
SOME = 64


class Joined(Protocol):
    """Events that are delivered together."""

    frames: bytes
    size: int

    def __len__(self) -> int: ...


class Way(Protocol):
    """A connection, as far as it is written to."""

    def left(self, data: bytes) -> None:
        """The kernel did not take this."""

    def flush(self) -> None:
        """Send what was written in this turn."""


class Lane:
    """The shortest way to a client, for what goes to thousands at once: its socket, while nothing else waits to leave.

    Its time is spent on memory that has to be fetched, so that all it needs stands in one small object.
    """

    __slots__ = ("bytes", "free", "messages", "send", "shut", "wire")

    def __init__(self, wire: Way) -> None:
        self.wire: Way | None = wire  # as long as it is connected: it would not be freed at once
        self.send: Any = None  # the socket's own, where nothing stands between it and us
        self.free = False  # open, and all that was written before is in the kernel's hands
        self.shut = False  # for a while everything is to go the usual way
        self.messages = self.bytes = 0  # that went this way; bytes of content

    def shut_for_now(self, shut: bool) -> None:
        """Whether everything has to go the usual way, because somebody there wants to see it."""
        self.shut = shut
        self.free = self.free and not shut

    def write(self, run: Joined) -> bool:
        """Send what is joined already, at once; False, and nothing is done, where the lane is not free."""
        if not self.free:
            return False
        self.messages += len(run)
        self.bytes += run.size
        data = run.frames
        try:
            sent = self.send(data)
        except OSError:  # full, or gone: the transport finds out which
            sent = 0
        if sent != len(data) and self.wire:
            self.wire.left(data[sent:])
        return True


class Flusher:
    """Flushes, at the end of a turn of the loop, every connection that was written to in it.

    In between it lets the loop turn, so that thousands of readers hold up nobody.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._wires: list[Way] = []
        self._due = False

    def add(self, wire: Way) -> None:
        self._wires.append(wire)
        if not self._due:
            self._due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        wires, self._wires = self._wires, []
        stop = monotonic() + FLUSHING
        for start in range(0, len(wires), SOME):
            for wire in wires[start : start + SOME]:
                wire.flush()
            if monotonic() > stop and start + SOME < len(wires):
                self._wires = wires[start + SOME :] + self._wires
                self.loop.call_soon(self._flush)
                return
        self._due = False
