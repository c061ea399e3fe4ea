"""The way out of a connection: finished frames where the server takes them, ASGI messages elsewhere.

The rule: whatever is written to one connection leaves in the order in which it was written, its close last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings

from .feeds import Event, Run
from .figures import counters
from .frames import EXTENSION

if TYPE_CHECKING:
    from .lanes import Lane
    from .wire import Wire

logger = logging.getLogger(__name__)

SLOW = 1013  # close code, from the registry of RFC 6455

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Outlet(Protocol):
    """What a connection writes to."""

    lane: Lane | None = None  # a shorter way, where the server has one

    gone: bool  # the client has left, as far as the server tells

    @property
    def unsent(self) -> int:
        """Bytes that wait here for a slow reader. What the kernel has taken is on its way."""
        return 0

    def write(self, run: Run) -> bool:
        """Send events, soon. Never waits; False where the reader was too slow and is closed with 1013."""

    async def drain(self) -> None:
        """Return when most of what was written has gone out."""

    async def send(self, message: Message) -> None:
        """Pass on what the application sends, after what was written."""

    def close(self, code: int, reason: str) -> None:
        """Close after what was written."""

    async def fail(self, code: int, reason: str) -> bool:
        """Close at once; False where the server cannot."""

    def limit_to(self, size: int) -> None:
        """Take no messages larger than so many bytes, where that is up to the server."""


def outlet_of(scope: Message, send: Send) -> Outlet:
    wire = scope.get("extensions", {}).get(EXTENSION)
    return Direct(wire, send) if wire else Relayed(send)


class Direct(Outlet):
    """Our own server: frames are made once for all readers of a topic, and the server keeps every limit."""

    def __init__(self, wire: Wire, send: Send) -> None:
        self.wire, self._send = wire, send
        self.lane = wire.lane
        self._write = wire.write

    def write(self, run: Run) -> bool:
        return self._write(run.frames)

    @property
    def gone(self) -> bool:  # type: ignore[override]
        return self.wire.gone

    @property
    def unsent(self) -> int:
        return self.wire.unsent

    async def drain(self) -> None:
        await self.wire.drained()

    async def send(self, message: Message) -> None:
        await self._send(message)

    def close(self, code: int, reason: str) -> None:
        self.wire.close(code, reason)

    def limit_to(self, size: int) -> None:
        self.wire.lower_limit(size)

    async def fail(self, code: int, reason: str) -> bool:
        self.wire.close(code, reason)
        return True


class Relayed(Outlet):
    """Any other ASGI server, and any layer in between that has a `send` of its own: one task writes while there is
    something to write.

    Where the server makes a writer wait, a reader that lets WEBSOCKET_MAX_BUFFER wait is closed with 1013. Stock
    Daphne never does: it holds whatever a slow reader has not taken.
    """

    gone = False  # no ASGI server says it but by a message

    def __init__(self, send: Send) -> None:
        self._send = send
        self._farewell: Message | None = None  # the close that follows what was written
        self._out: list[Event] = []
        self._waiting = 0  # bytes in _out
        self._writing = False  # the writer is in the middle of `send`
        self._writer: asyncio.Task[None] | None = None

    def write(self, run: Run) -> bool:
        if self._writing and self._waiting > settings.WEBSOCKET_MAX_BUFFER:
            self._out.clear()
            counters.slow_readers += 1
            self.close(SLOW, "too slow")
            return False
        self._out.extend(run)
        self._waiting += run.size
        self._start()
        return True

    @property
    def unsent(self) -> int:
        return self._waiting

    async def drain(self) -> None:
        while self._writer:
            await asyncio.shield(self._writer)

    async def send(self, message: Message) -> None:
        if self._writer:
            await self.drain()
        await self._send(message)

    def close(self, code: int, reason: str) -> None:
        self._farewell = {"type": "websocket.close", "code": code, "reason": reason}
        self._start()

    async def fail(self, code: int, reason: str) -> bool:
        self._out.clear()
        if self._writer:
            self._writer.cancel()
        farewell = self._farewell or {"type": "websocket.close", "code": code, "reason": reason}
        self._farewell = None
        try:
            await self._close(farewell)
        except Exception:
            return False
        return True

    def limit_to(self, size: int) -> None:
        """The door counts what comes in, once the server has read it."""

    def _start(self) -> None:
        if self._writer is None:
            self._writer = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        self._writing = True
        try:
            while self._out:
                out, self._out, self._waiting = self._out, [], 0
                for event in out:
                    await self._send(event.message)
            if self._farewell:
                await self._close(self._farewell)
        except Exception as error:  # the client has gone, or the application may not send now
            logger.debug("a connection cannot be written to: %r", error)
            self._out.clear()
        finally:
            self._writer, self._writing = None, False

    async def _close(self, message: Message) -> None:
        try:
            await self._send(message)
        except Exception:  # stock Daphne sends 1000 and 3000 to 4999 only: 1009 leaves as 4009
            await self._send({"type": "websocket.close", "code": 3000 + message["code"]})
