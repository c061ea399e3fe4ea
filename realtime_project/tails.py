"""The frames of one connection, shown to whoever watches it, while they pass.

The rule: what nobody watches costs nothing. A tap stands in a connection's way only until its last watcher has not
renewed for a while; then the connection is as it was. What is shown is a copy: cut, without secrets, so many a second.

Frames travel on the watcher's private topic, every PACE seconds at most: {"type": "frames", "skipped": 0, "frames":
[{"way": "in", "kind": "text", "size": 5, "text": "hello", "at": 1764036000123}]}
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from . import private
from .feeds import Content, Run
from .hub import PublishError
from .topics import hub

logger = logging.getLogger(__name__)

PACE = 0.2  # seconds between two messages to a watcher
SHOWN = 100  # frames a second; the others are counted
LONGEST = 2_000  # characters of a text that are shown
LONGEST_BYTES = 256
WATCHERS = 8  # of one connection
MODE = "tail"  # of the watchers' own connections, which cannot be watched: each frame would bring another

# A JSON member whose name says that its value is nobody's business. A value that was cut has no closing quote.
SECRET = re.compile(
    r'("[^"]{0,40}(?:token|password|secret|session|cookie|authori[sz]ation|api_?key|csrf|credential)[^"]{0,40}"\s*:\s*)'
    r'(?:"(?:[^"\\]|\\.)*"?|[\[{][^\]}]*|[^,\s\]}]+)',
    re.IGNORECASE,
)


class Frame(msgspec.Struct):
    """What is shown of a frame."""

    way: str  # "in": from the client, "out": to it
    kind: str  # "text", "binary" or "close"
    size: int  # bytes
    text: str  # of bytes: hexadecimal digits
    at: int  # milliseconds since 1970


def show(connection: Any, to: str, seconds: float, by: str = "") -> None:
    """Show what passes on a connection of this process to `to`, for so long; again to renew, 0 to end.

    by: whose look it is, for the log.
    """
    tap = _taps.get(connection.id)
    if tap is None:
        if seconds <= 0 or connection.closed or connection.mode == MODE:
            return
        tap = _taps[connection.id] = Tap(connection)
    known = to in tap.watchers
    tap.renew(to, seconds)
    if not known and to in tap.watchers:
        logger.info("connection %s: its frames are shown to %s", connection.id, by or "somebody")


class Tap:
    """Stands before a connection's outlet, and beside what counts its messages in."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.outlet = connection, connection._outlet
        self.watchers: dict[str, float] = {}  # private topic → when it ends
        self._frames: list[Frame] = []
        self._skipped = 0
        self._left = SHOWN * PACE
        self._timer: asyncio.TimerHandle | None = None
        self._counted: Callable[[dict[str, Any], int], bool] = connection.counted
        connection._outlet, connection.counted = self, self.counted
        self.lane = self.outlet.lane
        if self.lane:
            self.lane.shut_for_now(True)  # it would pass us by

    def renew(self, to: str, seconds: float) -> None:
        if seconds <= 0 or not to.startswith(private.OUT):
            self.watchers.pop(to, None)
        elif to in self.watchers or len(self.watchers) < WATCHERS:
            self.watchers[to] = time.monotonic() + seconds
        self._tick()

    def _tick(self) -> None:
        """Show what has passed, and look whether anybody still watches."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        self.watchers = {to: until for to, until in self.watchers.items() if until > now}
        if not self.watchers or self.connection.closed:
            self._end()
        if self._frames or self._skipped:
            content = msgspec.json.encode({"type": "frames", "skipped": self._skipped, "frames": self._frames}).decode()
            for to in self.watchers:
                try:
                    hub().publish(to, (content,))
                except PublishError:
                    break  # whoever watches sees a gap; the connection itself must not suffer
        self._frames, self._skipped, self._left = [], 0, SHOWN * PACE
        if _taps.get(self.connection.id) is self:
            self._timer = asyncio.get_running_loop().call_later(PACE, self._tick)

    def _end(self) -> None:
        _taps.pop(self.connection.id, None)
        if self.connection._outlet is self:
            self.connection._outlet = self.outlet
        if self.lane:
            self.lane.shut_for_now(False)
        vars(self.connection).pop("counted", None)

    def _add(self, way: str, content: Content) -> None:
        if self._left < 1:
            self._skipped += 1
            return
        self._left -= 1
        self._frames.append(shown(way, content))

    # what passes ----------------------------------------------------------------------------------------------
    def counted(self, message: dict[str, Any], limit: int) -> bool:
        content = message.get("text")
        self._add("in", content if content is not None else message.get("bytes") or b"")
        return self._counted(message, limit)

    def write(self, run: Run) -> bool:
        for event in run:
            self._add("out", event.content)
        return bool(self.outlet.write(run))

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            content = message.get("bytes")
            self._add("out", content if content is not None else message.get("text") or "")
        elif message["type"] == "websocket.close":
            self._closing(message.get("code", 1000), message.get("reason") or "")
        await self.outlet.send(message)

    def close(self, code: int, reason: str) -> None:
        self._closing(code, reason)
        self.outlet.close(code, reason)

    def _closing(self, code: int, reason: str) -> None:
        self._frames.append(Frame("out", "close", 0, f"{code} {reason}".strip(), _now()))

    # what only passes on ----------------------------------------------------------------------------------------
    @property
    def gone(self) -> bool:
        return bool(self.outlet.gone)

    @property
    def unsent(self) -> int:
        return int(self.outlet.unsent)

    async def drain(self) -> None:
        await self.outlet.drain()

    async def fail(self, code: int, reason: str) -> bool:
        return bool(await self.outlet.fail(code, reason))

    def limit_to(self, size: int) -> None:
        self.outlet.limit_to(size)


def shown(way: str, content: Content) -> Frame:
    """A frame as a watcher sees it."""
    if isinstance(content, str):
        text = SECRET.sub(r'\1"…"', content[:LONGEST]) + ("…" if len(content) > LONGEST else "")
        return Frame(way, "text", len(content.encode(errors="replace")), text, _now())
    text = content[:LONGEST_BYTES].hex(" ") + (" …" if len(content) > LONGEST_BYTES else "")
    return Frame(way, "binary", len(content), text, _now())


def _now() -> int:
    return int(time.time() * 1000)


_taps: dict[str, Tap] = {}
