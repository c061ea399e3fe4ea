"""Between topics and a link: what came goes into topics, what topics publish goes out.

The rule: each direction keeps its order, and what cannot be kept is counted. Of a durable topic nothing waits in memory
while there is no connection: the log has it, and the doorbell only wakes who reads the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice

from realtime_project.commits import Unavailable, commits
from realtime_project.feeds import Content, Event
from realtime_project.figures import counters
from realtime_project.topics import PublishError, Topic, hub

from . import sessions
from .links import Counts, Sent, Waiting

logger = logging.getLogger(__name__)

COMING = 1_000  # messages that wait for the database before the other end has to wait
RUN = 200  # of them that are stored together
PAGE = 200  # events of a durable topic that are read at once
BUSY = 1_000  # messages that wait for the channel layer before the next is read
PAUSES = 0.1, 5.0  # seconds between attempts while the database is away: first and longest


class Inward:
    """What came, into topics. To durable ones many messages in one transaction."""

    def __init__(self, topics: Sequence[Topic], counts: Counts) -> None:
        self.counts = counts
        self._durable = [topic for topic in topics if topic.history]
        self._plain = [topic for topic in topics if not topic.history]
        self._came: deque[Content] = deque()
        self._changed = asyncio.Event()
        self._storing: asyncio.Task[None] | None = None

    async def put(self, content: Content) -> None:
        """Publish, soon and in order. Waits while too much waits already."""
        if not self._durable:
            await self._publish(content)
            return
        while len(self._came) >= COMING:
            await self._change()
        self._came.append(content)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store())

    async def close(self, patience: float) -> None:
        """What came is stored; what is not within so many seconds is dropped."""
        if self._storing:
            await asyncio.wait([self._storing], timeout=patience)
        if self._storing:
            self._storing.cancel()
            await asyncio.wait([self._storing])
        self.counts.dropped += len(self._came)
        self._came.clear()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _store(self) -> None:
        try:
            while self._came:
                run = list(islice(self._came, RUN))
                is_stored = await self._stored(run)
                for content in run:
                    self._came.popleft()
                    if is_stored:
                        for topic in self._durable:
                            topic.operate(content)
                        await self._publish(content)
                self._changed.set()
        finally:
            self._storing = None
            self._changed.set()

    async def _stored(self, run: Sequence[Content]) -> bool:
        """All of them, in order, or none: again for as long as the database is away."""
        pause, longest = PAUSES
        save = sessions.Save(None, 0, "", "", None, False, False)
        save = save._replace(publishes=[(topic.name, content) for content in run for topic in self._durable])
        while True:
            try:
                await commits().write(sessions.save_all, save)
            except Unavailable as error:
                logger.warning("what came waits for the database: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
            except Exception:
                logger.exception("%d messages that came cannot be stored", len(run))
                self.counts.dropped += len(run)
                return False
            else:
                return True

    async def _publish(self, content: Content) -> None:
        for topic in self._plain:
            try:
                sent = topic.publish_nowait(content)
                if hub().waiting > BUSY:
                    await asyncio.shield(sent)
            except PublishError:  # the hub says so in the log
                self.counts.dropped += 1


class Plain:
    """A plain topic's way out. What it publishes waits for a connection, as long as there is room."""

    def __init__(self, waiting: Waiting, counts: Counts) -> None:
        self.waiting, self.counts = waiting, counts
        self._is_dropping = False

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            if self.waiting.put(event.content):
                self._is_dropping = False
                continue
            self.counts.dropped += 1
            counters.drops += 1
            if not self._is_dropping:
                self._is_dropping = True
                self.counts.gaps += 1

    async def drain(self) -> None:
        """Nobody has to wait: what there is no room for is dropped."""


class Durable:
    """A durable topic's way out: the log is read from `cursor` on, while there is a connection.

    cursor: the last offset that the other end is known to have, or None: only what is new. epoch: whose offset it is.
    What was sent and not confirmed is sent again by the next connection.
    """

    def __init__(self, topic: Topic, waiting: Waiting, counts: Counts, cursor: int | None = None, epoch: str = ""):
        self.topic, self.waiting, self.counts = topic, waiting, counts
        self.cursor, self.epoch = cursor, epoch
        self._rang = asyncio.Event()
        self._missing = 0  # up to this offset, what is not sent has been counted

    async def begin(self) -> None:
        """From where to go on, where nobody has said so. Asked once, before the first connection."""
        if self.cursor is None:
            self.epoch, heads = await hub().log.heads([self.topic.name])
            self.cursor = heads.get(self.topic.name, 0)

    async def pump(self) -> None:
        """As long as there is a connection."""
        subscription = await hub().subscribe(self.topic.name, self, durable=True)
        subscription.start()
        pause, longest = PAUSES
        read = self.cursor or 0
        try:
            while True:
                self._rang.clear()
                try:
                    read, is_last = await self._page(read)
                except Exception as error:
                    logger.warning("topic %r: the log cannot be read: %r", self.topic.name, error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, longest)
                    continue
                pause = PAUSES[0]
                if is_last:
                    await self._rang.wait()
        finally:
            subscription.close()
            self.waiting.discard(self._is_mine)

    async def _page(self, read: int) -> tuple[int, bool]:
        """Put a page into what waits: the last offset, and whether there was no more."""
        name = self.topic.name
        epoch, events = await hub().log.page(name, read, None, PAGE)
        if epoch != self.epoch:  # another life of the log: what it numbers is something else
            logger.warning("topic %r: its log began anew; what lies before is not sent", name)
            self.counts.gaps += 1
            self.epoch, heads = await hub().log.heads([name])
            self.cursor, self._missing = heads.get(name, 0), 0
            return self.cursor, False
        for event in events:
            offset = event.offset or 0
            if offset > read + 1:  # trimmed, before it was sent
                self._miss(offset - 1, offset - read - 1)
            read = offset
            await self.waiting.wait_for(lambda: self.waiting.has_room)
            if not self.waiting.put(event.content, Arrival(self, offset, epoch)):
                self._miss(offset, 1)  # it is too large for ever
        return read, len(events) < PAGE

    def _miss(self, offset: int, count: int) -> None:
        """Another connection that begins before it does not count it again."""
        if offset > self._missing:
            self._missing = offset
            self.counts.dropped += count
            self.counts.gaps += 1

    def _is_mine(self, item: Sent) -> bool:
        return isinstance(item.on_arrival, Arrival) and item.on_arrival.stream is self

    # what the hub asks ----------------------------------------------------------------------------------------
    def write(self, events: Sequence[Event]) -> None:
        self._rang.set()

    async def drain(self) -> None:
        """The doorbell does not wait."""


class Arrival:
    """The other end has an event of a durable topic."""

    __slots__ = ("epoch", "offset", "stream")

    def __init__(self, stream: Durable, offset: int, epoch: str) -> None:
        self.stream, self.offset, self.epoch = stream, offset, epoch

    def __call__(self) -> None:
        if self.stream.epoch == self.epoch:
            self.stream.cursor = max(self.stream.cursor or 0, self.offset)
