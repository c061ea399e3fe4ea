"""The hub: this process's one seat in every group. Outbox, ring and sweep.

The rule: nothing but this file (and the feeds it makes) calls the channel layer, and every call but `receive` has a
limit. Imports neither Django nor Channels: the layer and the log are given.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from .feeds import Bell, DurableFeed, Feed, Log, Reader, Subscription, group_of

logger = logging.getLogger(__name__)

SWEEP = 2.0  # seconds between two looks at the heads of all durable topics
LIMIT = 2.0  # seconds for any call of the layer but `receive`
OUTBOX = 100_000  # events that may wait for the layer


class Layer(Protocol):
    """What is used of a channel layer."""

    async def new_channel(self) -> str: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_discard(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...


class PublishError(Exception):
    """The layer did not take a message in time."""


class Batch:
    """What is published to one topic until the layer takes it: one `group_send`."""

    __slots__ = ("events", "sent")

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.add_done_callback(lambda sent: sent.cancelled() or sent.exception())  # nobody has to ask


class Hub:
    """One a process, for the event loop that serves."""

    here: Hub | None = None  # the hub of the loop that serves, see topics.hub()

    def __init__(self, make_layer: Callable[[], Layer], log: Log) -> None:
        self.loop = asyncio.get_running_loop()
        self.log, self._make_layer = log, make_layer
        self.layer = make_layer()
        self.feeds: dict[str, Feed] = {}
        self.seat: str | None = None
        self.published = self.delivered = self.sends = self.reseats = self.waiting = 0
        self._outbox: dict[tuple[str, str | None], Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = False
        self._started = False
        self._seated = asyncio.Event()
        self._sitting = False
        self._reading: asyncio.Task[None] | None = None
        self._ring_group = ""
        self._unheard = 0  # rings sent that have not come back
        self._busy = False  # messages came since the last sweep: the ring may stand behind them, for one sweep

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
        self.start()
        feed = self.feeds.get(name)
        if feed is None:
            feed = self.feeds[name] = (DurableFeed if durable else Feed)(self, name)
        elif feed.durable != durable:
            raise ValueError(
                f"topic {name!r} is {'durable' if feed.durable else 'plain'}, and was subscribed to as the other"
            )
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

    # publishing -----------------------------------------------------------------------------------------------
    def publish(self, name: str, events: Iterable[Any], epoch: str | None = None) -> asyncio.Future[None]:
        """Hand events to the layer: contents (plain topic), or (offset, content) pairs with their epoch (durable).

        The future ends when the layer has taken them, or with a PublishError. It need not be awaited.
        """
        key = (name, epoch)
        batch = self._outbox.get(key)
        if batch is None:
            batch = self._outbox[key] = Batch()
        before = len(batch.events)
        batch.events.extend(events)
        added = len(batch.events) - before
        if self.waiting + added > OUTBOX:
            del batch.events[before:]
            raise PublishError(f"{self.waiting} messages already wait for the channel layer")
        self.waiting += added
        self.published += added
        if not self._sending:
            self._sending = True
            self._spawn(self._send())
        return batch.sent

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
                logger.warning("topic %s: no doorbell: %s", name, error)

    async def _send(self) -> None:
        try:
            while self._outbox:
                outbox, self._outbox = self._outbox, {}
                for (name, epoch), batch in outbox.items():
                    self.sends += 1
                    try:
                        async with asyncio.timeout(LIMIT):
                            await self.layer.group_send(
                                group_of(name), {"type": "bell", "topic": name, "epoch": epoch, "events": batch.events}
                            )
                    except Exception as error:
                        logger.warning("topic %s: the layer lost %d events: %r", name, len(batch.events), error)
                        batch.sent.set_exception(PublishError(f"the channel layer did not take the message: {error!r}"))
                    else:
                        batch.sent.set_result(None)
                    finally:
                        self.waiting -= len(batch.events)
        finally:
            self._sending = False

    # the seat -------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Take the seat and begin to sweep. Idempotent."""
        if not self._started:
            self._started = True
            self._spawn(self._sit())
            self._spawn(self._sweep())

    async def join(self, group: str) -> str:
        """Add this process's seat, once there is one, to a group: the seat."""
        async with asyncio.timeout(LIMIT):
            while self.seat is None:
                await self._seated.wait()
            seat = self.seat
            await self.layer.group_add(group, seat)
        return seat

    async def leave(self, group: str, seat: str) -> None:
        """Take a seat out of a group."""
        try:
            async with asyncio.timeout(LIMIT):
                await self.layer.group_discard(group, seat)
        except Exception as error:  # what rings for a topic that nobody reads is ignored
            logger.warning("a group cannot be left: %r", error)

    async def _sit(self) -> None:
        """A seat in a group of its own, through which it hears itself ring."""
        self._sitting = True
        try:
            async with asyncio.timeout(LIMIT):
                seat = await self.layer.new_channel()
                group = "ring." + uuid.uuid4().hex
                await self.layer.group_add(group, seat)
        except Exception as error:
            logger.warning("no seat at the channel layer yet: %r", error)
            return
        finally:
            self._sitting = False
        self.seat, self._ring_group, self._unheard = seat, group, 0
        self._seated.set()
        self._reading = self._spawn(self._read(seat))
        for feed in list(self.feeds.values()):
            feed.seek()

    async def _read(self, seat: str) -> None:
        """The only reader of the seat: neither cancelled nor timed while the seat is in use (a layer may lose it)."""
        while True:
            try:
                message = await self.layer.receive(seat)
            except Exception as error:
                logger.warning("the seat cannot be read: %r", error)
                await asyncio.sleep(0.5)
                continue
            if message["type"] == "ring":
                self._unheard = 0
            else:
                self._busy = True
                feed = self.feeds.get(message["topic"])
                if feed:
                    feed.ring(message["events"], message["epoch"])

    # the sweep ------------------------------------------------------------------------------------------------
    async def _sweep(self) -> None:
        """What the doorbells lost, the log knows. Never waits for the layer."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self.look()
            except Exception as error:
                logger.warning("the log cannot be read: %r", error)
            for feed in list(self.feeds.values()):
                feed.seek()
            if (self.seat is None or self._unheard > self._busy) and not self._sitting:
                self._reseat()
            self._busy = False
            if self.seat:
                self._unheard += 1
                self._spawn(self._ring(self._ring_group))

    async def look(self) -> None:
        """Read the heads of all durable topics in one query and raise their targets."""
        asked = {name: feed.last for name, feed in self.feeds.items() if isinstance(feed, DurableFeed)}
        if asked:
            epoch, heads = await self.log.heads(list(asked))
            for name, last in asked.items():
                feed = self.feeds.get(name)
                if isinstance(feed, DurableFeed):
                    feed.seen(last, heads.get(name, 0), epoch)

    async def _ring(self, group: str) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                await self.layer.group_send(group, {"type": "ring"})
        except Exception as error:
            logger.warning("the channel layer cannot be rung: %r", error)

    def _reseat(self) -> None:
        """Deaf: a new layer object has new connections; a new seat on the old one may stay deaf."""
        self.reseats += 1
        logger.warning("the seat hears nothing: taking a new one")
        if self._reading:
            self._reading.cancel()
        self.seat, self._reading = None, None
        self._seated.clear()
        self.layer = self._make_layer()
        self._spawn(self._sit())

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        """End the hub's tasks: its loop is about to end."""
        for task in self._tasks:
            task.cancel()
        for feed in self.feeds.values():
            feed.cancel()
