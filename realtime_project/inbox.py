"""What a client has sent and its application has not taken yet: bounded, so that a busy application makes it wait.

The rule: nothing is dropped. A full inbox stops the reading of the socket, and TCP stops the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]


class Inbox(asyncio.Queue[Message]):
    """The `receive` of an ASGI application. `on_room` is called when a full inbox has been half emptied."""

    def __init__(self, most: int, bytes_most: int, on_room: Callable[[], None]) -> None:
        super().__init__()
        self.most, self.bytes_most, self.on_room = most, bytes_most, on_room
        self.size = 0  # bytes, or characters of text
        self.was_full = False

    @property
    def room(self) -> int:
        """How many more messages fit."""
        return 0 if self.size >= self.bytes_most else self.most - self.qsize()

    def _put(self, message: Message) -> None:
        self.size += _size(message)
        super()._put(message)
        self.was_full = self.was_full or self.room <= 0

    def _get(self) -> Message:
        message: Message = super()._get()
        self.size -= _size(message)
        if self.was_full and self.size <= self.bytes_most // 2 and self.qsize() <= self.most // 2:
            self.was_full = False
            self.on_room()
        return message


def _size(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or b"")
