"""A world for the hub without real time: a loop whose clock jumps, a layer and a log that misbehave as told."""

import asyncio
import heapq
import random
from collections.abc import Coroutine, Sequence
from typing import Any

from realtime_project.feeds import Event

STANDSTILL = 100_000  # turns of the loop


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: when nothing is ready, its clock jumps to the next timer."""

    _now = 0.0
    _turns = 0  # since the clock moved

    def time(self) -> float:
        return self._now

    def _run_once(self: Any) -> None:  # CPython's own, and not in its types
        while self._scheduled and self._scheduled[0]._cancelled:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._timer_cancelled_count -= 1
        self._turns += 1
        assert self._turns < STANDSTILL, "something runs for ever while no time passes"
        if not self._ready and self._scheduled:
            self._turns = 0
            self._now = max(self._now, self._scheduled[0]._when)
        asyncio.SelectorEventLoop._run_once(self)  # type: ignore[attr-defined]


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on a virtual loop, and leave nothing behind."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


class Life:
    """A life of the log: what stands in it, and what stood there before it was rewritten."""

    def __init__(self, epoch: str, contents: list[str], former: dict[int, list[tuple[str, int]]]) -> None:
        self.epoch, self.contents = epoch, contents
        self.former = former  # offset → what stood there, and the event that rewrote it

    def versions(self, offset: int, known: int) -> list[str]:
        """What may be given for an event to who came when `known` was the last event known here."""
        texts = self.contents[offset - 1 : offset] if offset > 0 else []
        return texts + [text for text, gone in self.former.get(offset, []) if gone > known]


class World:
    """A layer and a log in one. `trouble` is how often doorbells are lost, doubled and late."""

    def __init__(self, chance: random.Random, trouble: float = 0) -> None:
        self.chance, self.trouble = chance, trouble
        self.lives = [Life("first", [], {})]  # of the one durable topic
        self.trimmed = 0  # events up to this offset have been deleted
        self.said_here = 0  # the last event that this very process wrote with a rewrite
        self.seat: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.groups: dict[str, set[str]] = {}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.queries = self.seats = 0
        self.deaf = self.broken = self.silent = False
        self.log_away = self.database_failed = False  # now; ever

    @property
    def contents(self) -> list[str]:
        return self.lives[-1].contents

    @contents.setter
    def contents(self, contents: list[str]) -> None:
        self.lives[-1].contents = contents

    @property
    def epoch(self) -> str:
        return self.lives[-1].epoch

    @epoch.setter
    def epoch(self, epoch: str) -> None:
        self.lives[-1].epoch = epoch

    async def nap(self) -> None:
        await asyncio.sleep(self.chance.choice([0, 0, 0.001, 0.005, 0.03, 0.2]))

    # the layer ------------------------------------------------------------------------------------------------
    async def new_channel(self) -> str:
        await self._reached()
        self.seats += 1
        return f"seat-{self.seats}"

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.seat.get()

    async def group_add(self, group: str, channel: str) -> None:
        await self._reached()
        if self.chance.random() < self.trouble / 4:
            raise ConnectionError("no group today")
        self.groups.setdefault(group, set()).add(channel)
        await self.nap()

    async def group_discard(self, group: str, channel: str) -> None:
        await self._reached()
        self.groups.get(group, set()).discard(channel)
        await self.nap()

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._reached()
        self.sent.append((group, message))
        if message["type"] == "ring":
            self._arrive(group, message)
            return
        copies = self.chance.choices([1, 0, 2], [1, self.trouble, self.trouble / 2])[0]
        for _ in range(copies):
            late = self.chance.choice([0, 0, 0.001, 0.01, 0.05, 0.5, 3]) if self.chance.random() < self.trouble else 0
            asyncio.get_running_loop().call_later(late, self._arrive, group, message)

    async def flush(self) -> None:
        await self._reached()

    def _arrive(self, group: str, message: dict[str, Any]) -> None:
        if self.groups.get(group) and not self.deaf:
            self.seat.put_nowait(message)

    async def _reached(self) -> None:
        if self.broken:
            raise ConnectionError("the layer is away")
        if self.silent:  # a half-open connection
            await asyncio.sleep(1e9)
        await self.nap()

    # the log --------------------------------------------------------------------------------------------------
    async def heads(self, names: Sequence[str]) -> tuple[str, dict[str, int]]:
        await self._asked()
        epoch = self.epoch
        await self.nap()  # two queries: a restore may come in between
        heads = {name: len(self.contents) for name in names if self.contents}
        await self.nap()
        return epoch, heads

    async def page(self, name: str, after: int, upto: int | None, limit: int) -> tuple[str, list[Event]]:
        await self._asked()
        found = list(enumerate(self.contents, 1))[max(after, self.trimmed) : upto][:limit]
        await self.nap()
        epoch = self.epoch
        await self.nap()
        return epoch, [Event(content, offset) for offset, content in found]

    async def _asked(self) -> None:
        self.queries += 1
        await self.nap()
        if self.log_away:
            raise ConnectionError("the database is away")

    def restore(self, lost: int, epoch: str | None = None) -> None:
        """A backup that lacks the newest events; in another epoch, or in the same where the operator forgot."""
        life = self.lives[-1]
        kept = max(0, len(life.contents) - lost)
        self.lives.append(Life(epoch or life.epoch, life.contents[:kept], {}))
        self.trimmed = min(self.trimmed, kept)
        self.said_here = 0

    def trim(self, left: int) -> None:
        """Forget all but the newest events."""
        self.trimmed = max(self.trimmed, len(self.contents) - left)

    def come_back(self) -> None:
        """The layer answers again, and knows of no group: what restarted is empty."""
        if self.broken:
            self.broken = False
            self.groups.clear()

    def append(self, count: int) -> list[tuple[int, str]]:
        """New events; what a doorbell for them holds."""
        first = len(self.contents) + 1
        life = len(self.lives)
        self.contents += [f"event {first + index} of life {life}" for index in range(count)]
        return list(enumerate(self.contents, 1))[first - 1 :]

    def rewrite(self, offset: int) -> list[tuple[int, str, int]]:
        """A new event that puts something else in an earlier one's place; what a doorbell for it holds."""
        if offset < 1:
            return []
        new = len(self.contents) + 1
        life = self.lives[-1]
        life.former.setdefault(offset, []).append((life.contents[offset - 1], new))
        life.contents[offset - 1] = f"event {offset} as {new} of life {len(self.lives)} left it"
        life.contents.append(f"event {new} of life {len(self.lives)}")
        return [(new, life.contents[new - 1], offset)]
