"""A topic's life in this process: Feed joins the topic's group, pumps and leaves; Subscription replays and attaches.

The rule: what a subscriber of a durable topic is given is the log from its cursor on, once and in order, whatever
the doorbells do. Imports neither Django nor Channels: the layer and the log come with the hub.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from functools import cached_property
from time import monotonic
from typing import Any, Protocol

from .crowd import Crowd
from .frames import frame

logger = logging.getLogger(__name__)

HELD = 1_000  # announced events that wait for an earlier one
RECENT = 256  # newest events kept for those who come back
RECENT_SIZE = 1024 * 1024  # ... and not more than these characters or bytes of them
PAGE = 200  # events a query of the log
BEHIND = 1_000  # who is further behind reloads instead of being replayed to
GAP = 0.02  # seconds that a missing doorbell is waited for before the log is asked
DELIVERING = 0.003  # seconds of a turn of the loop, for all topics together
PAUSE = 0.2, 5.0  # seconds between attempts while the log fails: first and longest

Content = str | bytes
# What announces an event of a durable topic: its offset, its content and, where events before it were rewritten in the
# log, the highest offset of these.
Bell = tuple[int, Content] | tuple[int, Content, int]


def size_of(content: Content) -> int:
    """Bytes on the wire."""
    return len(content) if isinstance(content, bytes) or content.isascii() else len(content.encode(errors="replace"))


class Event:
    """One entry of a topic."""

    __slots__ = ("content", "offset", "size")

    def __init__(self, content: Content, offset: int | None = None) -> None:
        self.content = content
        self.offset = offset  # None in a plain topic
        self.size = size_of(content)

    @property
    def message(self) -> dict[str, Any]:
        """As ASGI sends it."""
        return {"type": "websocket.send", "text" if isinstance(self.content, str) else "bytes": self.content}

    def __repr__(self) -> str:
        return f"Event({self.content!r}, {self.offset})"


class Run(list[Event]):
    """Events that are delivered together. Their frames are made and joined once, for all readers in this process."""

    @cached_property
    def frames(self) -> bytes:
        """What goes on the wire. Not to be asked before the run is complete."""
        return b"".join(frame(event.content) for event in self)

    @cached_property
    def size(self) -> int:
        """Bytes of content."""
        return sum(event.size for event in self)


class Reader(Protocol):
    """What the hub asks of a subscriber.

    One may have a shorter way for a Run: `straight(run)`, which is False where the run has to be written as ever.
    """

    def write(self, events: Sequence[Event]) -> None:
        """Take these events. Never waits, never raises."""

    async def drain(self) -> None:
        """Return when what was written has gone out."""


def _never(run: Run) -> bool:
    """A reader that has no shorter way."""
    return False


class Log(Protocol):
    """What is asked of the history."""

    async def heads(self, names: Sequence[str]) -> tuple[str, Mapping[str, int]]:
        """The epoch, and the last offset of each topic that has one."""

    async def page(self, name: str, after: int, upto: int | None, limit: int) -> tuple[str, list[Event]]:
        """The epoch, and the events after an offset, in order."""


class Share:
    """What deliveries may take of one turn of the loop, however many topics are busy."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._end: float | None = None

    def end(self) -> float:
        """When the loop is to turn: seconds, monotonic."""
        if self._end is None:
            self._end = monotonic() + DELIVERING
            self._loop.call_soon(self._turned)
        return self._end

    def _turned(self) -> None:
        self._end = None


class Home(Protocol):
    """The hub, as its feeds see it."""

    log: Log
    share: Share
    delivered: int

    def forget(self, feed: Feed) -> None: ...


class Seat(Protocol):
    """This process's place at the layer that carries the topic."""

    name: str | None

    async def join(self, group: str) -> str: ...
    async def leave(self, group: str, name: str) -> None: ...


def group_of(name: str) -> str:
    """The layer's name for a topic: any topic name is fine, a group name is not."""
    return "topic." + hashlib.sha256(name.encode()).hexdigest()[:40]


class Subscription:
    """One reader of one topic. `cursor` is the last offset it was given; in a plain topic, how many events had passed.

    `recovered` is False where what lies between its `since` and now cannot be replayed: then the client reloads.
    Made by Hub.subscribe; nothing is written to the reader before start().
    """

    __slots__ = (
        "cursor", "epoch", "feed", "head", "on_reset", "open", "reader", "recovered", "replaying", "straight",
    )  # fmt: skip

    def __init__(self, feed: Feed, reader: Reader, on_reset: Callable[[Subscription], None] | None) -> None:
        self.feed, self.reader, self.on_reset = feed, reader, on_reset
        self.straight: Callable[[Any], bool] = getattr(reader, "straight", None) or _never
        self.open, self.recovered = True, True
        self.cursor = self.head = 0
        self.epoch = ""
        self.replaying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Replay what was missed, then attach. A task of its own, so that nobody has to wait behind it."""
        if self.open and not self.feed.attach(self):
            self.replaying = asyncio.create_task(self.feed.replay(self))

    def close(self) -> None:
        """Idempotent; nothing is written afterwards."""
        if self.open:
            self.open = False
            if self.replaying:
                self.replaying.cancel()
            self.feed.leave(self)

    def give(self, events: Sequence[Event]) -> None:
        self.cursor = events[-1].offset or 0
        try:
            self.reader.write(events)
        except Exception as error:
            self.let_go(error)

    def let_go(self, error: Exception) -> None:
        """One reader's mistake is not the others' loss."""
        logger.error("topic %r: a reader failed and is let go", self.feed.name, exc_info=error)
        self.close()

    def reset(self, head: int, epoch: str) -> None:
        """Another life of the log, or a hole in it: go on from `head` and tell the client to reload."""
        self.cursor = self.head = head
        self.epoch, self.recovered = epoch, False
        if self.on_reset:
            try:
                self.on_reset(self)
            except Exception:
                logger.exception("topic %r: a reader failed and is let go", self.feed.name)
                self.close()


class Feed:
    """A plain topic: what rings is delivered to those who are attached."""

    durable = False

    def __init__(self, hub: Home, seat: Seat, name: str) -> None:
        self.hub, self.name, self.group = hub, name, group_of(name)
        self.seat = seat
        self.members: set[Subscription] = set()  # attached or replaying
        self.attached: Crowd[Subscription] = Crowd()
        self.joined_by: str | None = None  # the channel that has joined the group
        self.passed = 0  # events delivered here, to however many
        self.life = 0  # counts the lives of the log that were seen to end
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wake = asyncio.Event()
        self._joining: asyncio.Task[None] | None = None
        self._inbox: list[Event] = []
        self._task = asyncio.create_task(self._live(), context=Context())  # nobody's in particular

    # members --------------------------------------------------------------------------------------------------
    def enter(self, subscription: Subscription) -> None:
        self.members.add(subscription)
        self._wake.set()

    def leave(self, subscription: Subscription) -> None:
        self.members.discard(subscription)
        self.attached.discard(subscription)
        self._wake.set()

    def attach(self, subscription: Subscription) -> bool:
        """True if the subscription now gets what comes; False if it has to be replayed to first."""
        subscription.cursor = self.passed
        self.attached.add(subscription)
        return True

    async def replay(self, subscription: Subscription) -> None:
        raise NotImplementedError("a plain topic keeps nothing to replay")

    # doorbells ------------------------------------------------------------------------------------------------
    def ring(self, events: Iterable[Any], epoch: str | None) -> None:
        """What the layer brought: a list of contents."""
        self._inbox.extend(map(Event, events))
        self._wake.set()

    def cancel(self) -> None:
        """The loop is about to end."""
        for task in (self._task, self._joining, *(member.replaying for member in self.members)):
            if task:
                task.cancel()

    # the one task ---------------------------------------------------------------------------------------------
    async def _live(self) -> None:
        """Make the world agree with `members`, and deliver in between, until the last member has gone."""
        pause = PAUSE[0]
        while True:
            self.seek()
            while self.members:
                self._wake.clear()
                try:
                    await self._work()
                    pause = PAUSE[0]
                except Exception:
                    logger.exception("topic %r: trying again in %.1f s", self.name, pause)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, PAUSE[1])
                    continue
                await self._wake.wait()
            if self._joining:
                await self._joining
                if self.members:  # who came meanwhile has been told that it is subscribed: the group is kept
                    continue
            if self.joined_by:
                name, self.joined_by = self.joined_by, None
                self._given_up()
                await self.seat.leave(self.group, name)
            if not self.members:  # nobody came meanwhile, and nobody can before the next line
                self.hub.forget(self)
                return

    async def _work(self) -> None:
        if self._inbox:
            events, self._inbox = self._inbox, []
            await self._deliver(Run(events))
            self._wake.set()

    async def _deliver(self, events: Run) -> None:
        """To those attached now, in parts between which the loop may turn."""
        life = self.life
        self.hub.delivered += len(events) * len(self.attached)
        self.passed += len(events)
        cursor, stop = events[-1].offset or self.passed, self.hub.share.end()
        for some in self.attached.parts():
            for subscription in some:
                if subscription.cursor < cursor and subscription.open:  # the others came, or went, meanwhile
                    subscription.cursor = cursor
                    try:
                        if not subscription.straight(events):
                            subscription.reader.write(events)
                    except Exception as error:
                        subscription.let_go(error)
            if monotonic() > stop:
                await asyncio.sleep(0)
                if self.life != life:  # the others have been told to reload
                    return
                stop = self.hub.share.end()

    # the group ------------------------------------------------------------------------------------------------
    def seek(self) -> None:
        """Join the group if this seat has not; one attempt at a time, beside the pump."""
        if self.members and self._joining is None and (self.joined_by is None or self.joined_by != self.seat.name):
            self._joining = asyncio.create_task(self._join(), context=Context())

    async def _join(self) -> None:
        joined = False
        try:
            self.joined_by = await self.seat.join(self.group)
            joined = True
        except Exception as error:  # tried again at the next sweep
            logger.warning("topic %r: its group cannot be joined yet: %r", self.name, error)
        else:
            self._joined()
        finally:
            self._joining = None
            self._tried()
        if joined and self.seat.name:  # another seat, perhaps, than the one that has joined
            self.seek()

    def _joined(self) -> None:
        """The group is joined."""

    def _given_up(self) -> None:
        """The group is left; who comes meanwhile waits until it is joined again."""
        self.opened = asyncio.get_running_loop().create_future()

    def _tried(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)


class DurableFeed(Feed):
    """A durable topic: delivers the log from `last` to `target`, from doorbells where they came, else by pages.

    last: delivered; target: announced. What is announced but absent from the log lowers the target to the head.

    Events may be rewritten in the log, and the doorbell of the event that did it says so. What is held or remembered up
    to there is then forgotten: whoever needs it is given what the log has now. A page does not tell which of the events
    before it were rewritten, so that everything before a page that the pump had to read is forgotten as well.
    """

    durable = True

    def __init__(self, hub: Home, seat: Seat, name: str) -> None:
        self.last: int | None = None  # None until the log has been asked
        self.epoch = ""
        self.target = 0
        self._head = 0  # as the log last told it
        self._held: dict[int, Event] = {}
        self._recent: deque[Event] = deque()
        self._recent_size = 0
        self._rewritten = 0  # no doorbell up to this offset is to be trusted
        self._unlearned = 0  # counts how often something was rewritten: a page asked for before may be out of date
        self._moved = asyncio.Event()
        self._look_due = True
        super().__init__(hub, seat, name)

    # joining --------------------------------------------------------------------------------------------------
    def attach(self, subscription: Subscription) -> bool:
        if subscription.cursor == self.last:
            self.attached.add(subscription)
            return True
        return False

    async def judge(self, subscription: Subscription, since: int | None, epoch: str | None) -> None:
        """Where the subscription begins, and whether `since` can be kept."""
        await asyncio.shield(self.opened)
        if since is not None and (since > self._known() or epoch not in (None, self.epoch)):
            await self.look()  # this process may be behind the one that the client comes from
        head = subscription.head = self._known()
        subscription.epoch = self.epoch
        subscription.cursor = self.last or 0
        if since is not None:
            subscription.recovered = epoch in (None, self.epoch) and head - BEHIND <= since <= head
            if subscription.recovered:
                subscription.cursor = since

    def _known(self) -> int:
        return max(self.last or 0, self.target)

    async def replay(self, subscription: Subscription) -> None:
        pause = PAUSE[0]
        while subscription.open and not self.attach(subscription):
            try:
                await self._replay_some(subscription)
                pause = PAUSE[0]
            except Exception:
                logger.exception("topic %r: replaying again in %.1f s", self.name, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE[1])

    async def _replay_some(self, subscription: Subscription) -> None:
        cursor, last, life, unlearned = subscription.cursor, self.last or 0, self.life, self._unlearned
        if cursor > last:  # another process was ahead of this one: wait for the pump
            await self._moved.wait()
            return
        if self._recent and (self._recent[0].offset or 0) <= cursor + 1:
            subscription.give([event for event in self._recent if (event.offset or 0) > cursor])
            return
        epoch, events = await self.hub.log.page(self.name, cursor, last, PAGE)
        if not subscription.open or self.life != life:
            return  # left, or reset meanwhile
        if epoch != self.epoch:
            await self.look()
            return
        if not events or events[0].offset != cursor + 1:  # trimmed below the cursor
            subscription.reset(self.last or 0, self.epoch)
            return
        if self._unlearned != unlearned and cursor < self._rewritten:  # rewritten meanwhile: ask again
            return
        subscription.give(events)
        await subscription.reader.drain()

    # what is heard of the log ---------------------------------------------------------------------------------
    def ring(self, events: Iterable[Bell], epoch: str | None) -> None:
        """A doorbell: hold what fits, raise the target."""
        events = list(events)
        self.unlearn(events, epoch)
        if self.last is None or epoch != self.epoch:
            self._look_due = True  # not opened yet, or another life: the log decides
        else:
            for offset, content, *_ in events:
                if offset > max(self.last, self._rewritten) and len(self._held) < HELD:
                    self._held[offset] = Event(content, offset)
                self.target = max(self.target, offset)
        self._wake.set()

    def unlearn(self, events: Iterable[Bell], epoch: str | None) -> None:
        """Forget what the log has rewritten."""
        upto = max((rewritten for _, _, *more in events for rewritten in more), default=0)
        if upto and epoch == self.epoch:
            self._unlearned += 1
            self._rewritten = max(self._rewritten, upto)
            self._forget(upto)

    async def look(self) -> None:
        """Ask the log for the head."""
        asked, life = self.last, self.life
        epoch, heads = await self.hub.log.heads([self.name])
        self.seen(asked, life, heads.get(self.name, 0), epoch)

    def seen(self, asked: int | None, life: int, head: int, epoch: str) -> None:
        """A head read from the log; `asked` and `life` are those that held when the question was put."""
        if life != self.life:  # it may be older than what is known by now
            self._look_due = True
            self._wake.set()
            return
        self._head = head
        if self.last is None:
            self.last = self.target = head
            self.epoch = epoch
            self.opened.set_result(None)
        elif asked is None:
            self.target = max(self.target, head)
        elif epoch != self.epoch or head < asked:
            self._reset(head, epoch)
        else:
            self.target = max(self.target, head)
        self._wake.set()

    def _reset(self, head: int, epoch: str) -> None:
        logger.warning("topic %r: another life of the log: from %s to %s", self.name, self.last, head)
        self.life += 1
        self.last = self.target = head
        self.epoch = epoch
        self._held.clear()
        self._recent.clear()
        self._recent_size = self._rewritten = 0
        self._move()
        for subscription in list(self.members):
            subscription.reset(head, epoch)

    def _joined(self) -> None:
        self._look_due = True  # what rang before the group was joined

    def _given_up(self) -> None:
        """The log stays open: it is asked again as soon as the group is joined."""

    def _tried(self) -> None:
        self._wake.set()

    # the pump -------------------------------------------------------------------------------------------------
    async def _work(self) -> None:
        if self._look_due or self.last is None:
            self._look_due = False
            try:
                await self.look()
            except BaseException:
                self._look_due = True
                raise
        while self.members and self.last is not None and self.last < self.target:
            run = self._take_held(self.last)
            if run:
                self.last = run[-1].offset or 0
                self._remember(run)
                self._move()
                await self._deliver(run)
                await asyncio.sleep(0)
            elif not await self._heard(self.last + 1):
                await self._read(self.last)

    def _take_held(self, last: int) -> Run:
        run = Run()
        while (event := self._held.pop(last + len(run) + 1, None)) is not None:
            run.append(event)
        return run

    async def _heard(self, offset: int) -> bool:
        """Whether the doorbell of `offset` comes within GAP."""
        try:
            async with asyncio.timeout(GAP):
                while offset not in self._held and self.members:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.set()  # whoever rang meanwhile is not forgotten
        return offset in self._held or not self.members

    async def _read(self, asked: int) -> None:
        """The doorbell did not come: ask the log itself."""
        life, unlearned, known = self.life, self._unlearned, self._head
        epoch, events = await self.hub.log.page(self.name, asked, None, PAGE)
        if self.life != life:  # reset meanwhile
            return
        if epoch != self.epoch:
            await self.look()
            return
        if events and events[0].offset == asked + 1:
            if self._unlearned != unlearned and asked < self._rewritten:  # rewritten meanwhile: ask again
                return
            self._forget(events[-1].offset or 0)
            self._held.update((event.offset or 0, event) for event in events)
            self.target = max(self.target, events[-1].offset or 0)
            return
        self.target = asked  # announced, and not in the log: a false doorbell
        self._held.clear()
        await self.look()
        if self.life == life and (events or min(known, self._head) > asked):  # a hole: trimmed below us, or all of it
            self._reset(max([self.target, *(event.offset or 0 for event in events)]), self.epoch)

    def _remember(self, run: Sequence[Event]) -> None:
        self._recent.extend(run)
        self._recent_size += sum(event.size for event in run)
        while len(self._recent) > RECENT or self._recent_size > RECENT_SIZE:
            self._recent_size -= self._recent.popleft().size
        self._drop_held(self.last or 0)  # doubled doorbells

    def _forget(self, upto: int) -> None:
        """What is in memory up to this offset; the log has it."""
        while self._recent and (self._recent[0].offset or 0) <= upto:
            self._recent_size -= self._recent.popleft().size
        self._drop_held(upto)

    def _drop_held(self, upto: int) -> None:
        for offset in [offset for offset in self._held if offset <= upto]:
            del self._held[offset]

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
