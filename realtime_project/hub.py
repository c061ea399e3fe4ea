"""The hub: this process's one seat in every group. Outbox, ring and sweep.

The rule: nothing but this file calls the channel layer, and every call but `receive` has a limit. Where the layer has
several hosts, the topics are shared out among them, with a seat at each. Imports neither Django nor Channels: the
layers and the log are given. Private topics travel through the group in which a seat hears itself ring.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import Context
from typing import Any, Protocol

from . import private
from .feeds import Bell, Content, DurableFeed, Feed, Log, Reader, Share, Subscription, group_of
from .figures import counters

logger = logging.getLogger(__name__)

SWEEP = 2.0  # seconds between two looks at the heads of all durable topics
LIMIT = 2.0  # seconds for any call of the layer but `receive`
OUTBOX = 100_000  # events that may wait for the layer
OUTBOX_SIZE = 256 * 1024 * 1024  # ... and not more than these characters or bytes of them, but always one publish
PART = 1024 * 1024  # characters or bytes of one `group_send`: Redis cuts off every subscriber for whom 32 MB wait


class Layer(Protocol):
    """What is used of a channel layer."""

    async def new_channel(self) -> str: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...
    async def flush(self) -> None: ...


class PublishError(Exception):
    """The layer did not take a message in time."""


class Batch:
    """What is published to one topic until the layer takes it: one `group_send`, or a few where there is much of it."""

    __slots__ = ("events", "sent", "size")

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.size = 0  # characters or bytes
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.add_done_callback(lambda sent: sent.cancelled() or sent.exception())  # nobody has to ask


class Seat:
    """This process's place at one layer: it sends, hears, and notices when it has gone deaf."""

    def __init__(
        self, make_layer: Callable[[], Layer], hear: Callable[[dict[str, Any]], None], server: str, number: int
    ) -> None:
        self.layer = make_layer()
        self.name: str | None = None  # the channel, once there is one
        self.number, self.group = number, private.group_of(server, number)
        self.sends = self.reseats = self.waiting = self.waiting_size = 0
        self.on_seated: Callable[[], None] = lambda: None
        self._make_layer, self._hear = make_layer, hear
        self._outbox: dict[tuple[str, str | None], Batch] = {}
        self._sending = self._sitting = False
        self._seated = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._close_loop: Callable[[], None] | None = None  # the loop's own `close`, as it was before the first reseat
        self._heard = False  # a ring has come back
        self._unheard = 0  # rings sent that have not come back
        self._busy = False  # messages came since the last sweep: the ring may stand behind them, for one sweep

    @property
    def hears(self) -> bool:
        """Whether what is sent through the layer arrives here, as far as is known."""
        return self.name is not None and self._heard

    # groups ---------------------------------------------------------------------------------------------------
    async def join(self, group: str) -> str:
        """Join a group as soon as there is a seat: the channel that joined."""
        async with asyncio.timeout(LIMIT):
            while self.name is None:
                await self._seated.wait()
            name = self.name
            await self.layer.group_add(group, name)
        return name

    async def leave(self, group: str, name: str) -> None:
        """Take a channel out of a group."""
        try:
            async with asyncio.timeout(LIMIT):
                await self.layer.group_discard(group, name)
        except Exception as error:  # what rings for a topic that nobody reads is ignored
            logger.warning("a group cannot be left: %r", error)

    # sending --------------------------------------------------------------------------------------------------
    def publish(self, name: str, events: Sequence[Any], epoch: str | None) -> asyncio.Future[None]:
        size = sum(map(_sizer(epoch), events))
        if self.waiting + len(events) > OUTBOX or (self.waiting and self.waiting_size + size > OUTBOX_SIZE):
            if epoch is None:
                counters.drops += len(events)
            raise PublishError(f"{self.waiting} messages already wait for the channel layer")
        batch = self._outbox.get((name, epoch))
        if batch is None:
            batch = self._outbox[name, epoch] = Batch()
        batch.events.extend(events)
        batch.size += size
        self.waiting += len(events)
        self.waiting_size += size
        if not self._sending:
            self._sending = True
            self._spawn(self._send())
        return batch.sent

    async def _send(self) -> None:
        try:
            while self._outbox:
                outbox, self._outbox = self._outbox, {}
                failure: Exception | None = None
                for (name, epoch), batch in outbox.items():
                    self.waiting -= len(batch.events)
                    self.waiting_size -= batch.size
                    if failure is None:
                        failure = await self._send_one(name, epoch, batch)
                    if batch.sent.done():  # whoever waited has gone
                        continue
                    if failure is None:
                        batch.sent.set_result(None)
                    else:  # what waited behind it would wait in vain
                        error = PublishError(f"the channel layer did not take the message: {failure!r}")
                        batch.sent.set_exception(error)
        finally:
            self._sending = False

    async def _send_one(self, name: str, epoch: str | None, batch: Batch) -> Exception | None:
        server = private.server_of(name)
        group = group_of(name) if server is None else private.group_of(server, self.number)
        left = len(batch.events)
        try:
            for events in [batch.events] if batch.size <= PART else _parts(batch.events, epoch):
                self.sends += 1
                bell = {"type": "bell", "topic": name, "epoch": epoch, "events": events}
                async with asyncio.timeout(LIMIT):
                    await self.layer.group_send(group, bell)
                left -= len(events)
        except Exception as error:
            if epoch is None:  # those of a durable topic are in the log
                counters.drops += left
            logger.warning("topic %r: the layer did not take %d events: %r", name, left, error)
            return error
        return None

    # hearing --------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._spawn(self._sit())

    async def _sit(self) -> None:
        """A channel, in this server's group: what is meant for its clients comes through it, and its own rings."""
        self._sitting = True
        try:
            async with asyncio.timeout(LIMIT):
                name = await self.layer.new_channel()
                await self.layer.group_add(self.group, name)
        except Exception as error:
            logger.warning("no seat at the channel layer yet: %r", error)
            return
        finally:
            self._sitting = False
        self.name, self._unheard = name, 0
        self._seated.set()
        self._reading = self._spawn(self._read(name))
        self._spawn(self._ring())  # by which it is known to hear; not missed if it is lost
        self.on_seated()

    async def _read(self, name: str) -> None:
        """The only reader of the seat: neither cancelled nor timed while the seat is in use (a layer may lose it)."""
        while True:
            try:
                message = await self.layer.receive(name)
            except Exception as error:
                logger.warning("the seat cannot be read: %r", error)
                await asyncio.sleep(0.5)
                continue
            if message["type"] == "ring":
                self._heard, self._unheard = True, 0
                continue
            self._busy = True
            try:
                self._hear(message)
            except Exception:  # from a process that takes the topic for one of another kind
                logger.exception("topic %r: what the layer brought is not understood", message.get("topic"))

    def sweep(self) -> None:
        """Ring, and take a new seat if the last ring was not heard. Waits for nothing."""
        if (self.name is None or self._unheard > self._busy) and not self._sitting:
            self._reseat()
        self._busy = False
        if self.name:
            self._unheard += 1
            self._spawn(self._ring())

    async def _ring(self) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                await self.layer.group_send(self.group, {"type": "ring"})
        except Exception as error:
            logger.warning("the channel layer cannot be rung: %r", error)

    def _reseat(self) -> None:
        """Deaf: a new layer object has new connections; a new seat on the old one may stay deaf."""
        self.reseats += 1
        logger.warning("the seat hears nothing: taking a new one")
        if self._reading:
            self._reading.cancel()
        self._spawn(self._abandon(self.layer))
        self.name, self._reading, self._heard = None, None, False
        self._seated.clear()
        # channels_redis wraps the loop's `close` anew for each layer object, which so would live as long as the loop.
        loop = asyncio.get_running_loop()
        self._close_loop = self._close_loop or loop.close
        loop.close = self._close_loop  # type: ignore[method-assign]
        self.layer = self._make_layer()
        self._spawn(self._sit())

    async def _abandon(self, layer: Layer) -> None:
        """Close what can be closed of a layer that is not used any more."""
        try:
            async with asyncio.timeout(LIMIT):
                await layer.flush()
        except Exception as error:
            logger.debug("a layer could not be closed: %r", error)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        return spawn(work, self._tasks)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


class Hub:
    """One a process, for the event loop that serves."""

    here: Hub | None = None  # the hub of the loop that serves, see topics.hub()

    def __init__(
        self,
        make_layers: Sequence[Callable[[], Layer]],
        log: Log,
        server: str | None = None,
        deliver: Callable[[str, Sequence[Content]], None] = private.deliver,
    ) -> None:
        """server: to whom private topics of this process lead; deliver: takes what comes through them."""
        self.loop = asyncio.get_running_loop()
        self.share = Share(self.loop)
        self.log = log
        self.server, self._deliver = server or uuid.uuid4().hex, deliver
        self.feeds: dict[str, Feed] = {}
        self.published = self.delivered = 0
        self.seats = [Seat(layer, self._hear, self.server, number) for number, layer in enumerate(make_layers)]
        for seat in self.seats:
            seat.on_seated = self._seek
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False

    def seat_of(self, name: str) -> Seat:
        """The seat at the layer that carries a topic: the same in every process."""
        return self.seats[zlib.crc32(name.encode()) % len(self.seats)]

    # subscribing ----------------------------------------------------------------------------------------------
    async def subscribe(
        self,
        name: str,
        reader: Reader,
        *,
        durable: bool = False,
        since: int | None = None,
        epoch: str | None = None,
        on_reset: Callable[[Subscription], None] | None = None,
    ) -> Subscription:
        """A subscription that begins at `since` (durable topics), or now.

        The caller answers its client, then start()s the subscription; close() ends it.
        """
        if private.server_of(name) is not None:
            raise ValueError(f"topic {name!r} is private: its connection alone receives it")
        self.start()
        feed = self.feeds.get(name)
        if feed is None:
            feed = self.feeds[name] = (DurableFeed if durable else Feed)(self, self.seat_of(name), name)
        elif feed.durable != durable:
            kind = "durable" if feed.durable else "plain"
            raise ValueError(f"topic {name!r} is {kind}, and was subscribed to as the other")
        subscription = Subscription(feed, reader, on_reset)
        feed.enter(subscription)
        try:
            if isinstance(feed, DurableFeed):
                await feed.judge(subscription, since, epoch)
            else:
                await asyncio.shield(feed.opened)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def forget(self, feed: Feed) -> None:
        del self.feeds[feed.name]

    def _hear(self, message: dict[str, Any]) -> None:
        name = message["topic"]
        feed = self.feeds.get(name)
        if feed:
            feed.ring(message["events"], message["epoch"])
        elif private.server_of(name) == self.server:
            self._deliver(name, message["events"])

    # publishing -----------------------------------------------------------------------------------------------
    def publish(self, name: str, events: Sequence[Any], epoch: str | None = None) -> asyncio.Future[None]:
        """Hand events to the layer: contents (plain topic), or (offset, content) pairs with their epoch (durable).

        The future ends when the layer has taken them, or with a PublishError. It need not be awaited.
        """
        if private.server_of(name) == self.server:  # nobody else may want it: no layer, and no turn of the loop
            self._deliver(name, events)
            sent: asyncio.Future[None] = self.loop.create_future()
            sent.set_result(None)
        else:
            sent = self.seat_of(name).publish(name, events, epoch)
        self.published += len(events)
        return sent

    @property
    def waiting(self) -> int:
        """Events that wait for the layers."""
        return sum(seat.waiting for seat in self.seats)

    def ring(self, bells: Mapping[tuple[str, str], Sequence[Bell]]) -> None:
        """Announce committed events. Called from any thread; a doorbell that cannot be rung is only late."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self._ring_all, bells)

    def _ring_all(self, bells: Mapping[tuple[str, str], Sequence[Bell]]) -> None:
        for (name, epoch), events in bells.items():
            feed = self.feeds.get(name)
            if isinstance(feed, DurableFeed):  # here before the layer: what is acknowledged as gone is not replayed
                feed.unlearn(events, epoch)
            try:
                self.publish(name, events, epoch)
            except PublishError as error:
                logger.warning("topic %r: no doorbell: %s", name, error)

    # the sweep ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Take the seats and begin to sweep. Idempotent."""
        if not self._started:
            self._started = True
            for seat in self.seats:
                seat.start()
            spawn(self._sweep(), self._tasks)

    async def _sweep(self) -> None:
        """What the doorbells lost, the log knows. Never waits for the layer."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self.look()
            except Exception as error:
                logger.warning("the log cannot be read: %r", error)
            self._seek()
            for seat in self.seats:
                seat.sweep()

    def _seek(self) -> None:
        for feed in list(self.feeds.values()):
            feed.seek()

    async def look(self) -> None:
        """Read the heads of all durable topics in one query and raise their targets."""
        asked = [(feed, feed.last, feed.life) for feed in self.feeds.values() if isinstance(feed, DurableFeed)]
        if asked:
            epoch, heads = await self.log.heads([feed.name for feed, _, _ in asked])
            for feed, last, life in asked:
                if self.feeds.get(feed.name) is feed:
                    feed.seen(last, life, heads.get(feed.name, 0), epoch)

    def close(self) -> None:
        """End the hub's tasks: its loop is about to end."""
        for task in self._tasks:
            task.cancel()
        for seat in self.seats:
            seat.close()
        for feed in self.feeds.values():
            feed.cancel()


def _sizer(epoch: str | None) -> Callable[[Any], int]:
    """What tells the characters or bytes of an event: of a plain topic's content, or of a durable topic's bell."""
    return len if epoch is None else _content_size


def _content_size(bell: Bell) -> int:
    return len(bell[1])


def _parts(events: Sequence[Any], epoch: str | None) -> Iterator[list[Any]]:
    """In order, each of PART at most, or of one event."""
    part: list[Any] = []
    size, size_of = 0, _sizer(epoch)
    for event in events:
        added = size_of(event)
        if part and size + added > PART:
            yield part
            part, size = [], 0
        part.append(event)
        size += added
    yield part


def spawn(work: Any, tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    """A task that is held until it ends: the event loop itself would let it be collected. No connection's own."""
    task: asyncio.Task[None] = asyncio.create_task(work, context=Context())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
