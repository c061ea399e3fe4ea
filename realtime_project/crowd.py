"""Thousands of things in parts, each small enough for one turn of the event loop.

The rule: nobody touches all of them at a stretch, be it to copy a list of them. Memory that was not used for a while
takes its time to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Generic, TypeVar

PART = 64  # at most

T = TypeVar("T")


class Crowd(Generic[T]):
    """A set of things that come and go, also while somebody goes round; in the order of their coming, mostly."""

    def __init__(self, these: Iterable[T] = ()) -> None:
        self._parts: list[dict[T, None]] = []
        self._with_room: list[dict[T, None]] = []
        self._part_of: dict[T, dict[T, None]] = {}
        for one in these:
            self.add(one)

    def __len__(self) -> int:
        return len(self._part_of)

    def __contains__(self, one: T) -> bool:
        return one in self._part_of

    def add(self, one: T) -> None:
        """Whoever is there already stays where it is."""
        if one in self._part_of:
            return
        if not self._with_room:
            self._with_room.append({})
            self._parts.append(self._with_room[-1])
        part = self._part_of[one] = self._with_room[-1]
        part[one] = None
        if len(part) == PART:
            self._with_room.pop()

    def discard(self, one: T) -> None:
        """Whoever is not there is not missed."""
        part = self._part_of.pop(one, None)
        if part is None:
            return
        if len(part) == PART:
            self._with_room.append(part)
        del part[one]

    async def __aiter__(self) -> AsyncIterator[T]:
        """All who are there, as they are when their part is reached. The loop turns after each part."""
        for part in self.parts():
            while part:  # whoever has had their turn is not held
                yield part.pop()
            await asyncio.sleep(0)

    def parts(self, which: int = 0, of: int = 1) -> Iterator[list[T]]:
        """All who are there, as they are when their part is reached; or every so manieth part, from `which` on."""
        for part in self._parts[which::of]:
            yield list(part)
