"""Topic: the public face of topic mode. Publish, subscribe, and what happens on the way (`on_publish`).

The rule: one name is one topic, wherever it is declared; content is `str` or `bytes` and keeps its kind.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol
from weakref import WeakValueDictionary

from channels.layers import InMemoryChannelLayer, channel_layers
from django.db import transaction

from . import history, private
from .commits import commits
from .feeds import Content, Event
from .hub import LIMIT, Hub, Layer, PublishError
from .publishing import Named, Publish, checked, kind

logger = logging.getLogger(__name__)

NAME = 200  # characters
DEPTH = 8  # operations that publish to topics with operations
WAITING = 10_000  # events that wait for a Python reader

__all__ = [
    "Event",
    "Publish",
    "PublishError",
    "SlowReader",
    "Topic",
    "generate_uid",
    "hub",
    "topic_in",
    "topic_out",
]


class SlowReader(Exception):
    """A reader in this process has let too many events wait."""


Effects = Sequence[Publish] | None
Operation = Callable[[Any], Effects | Awaitable[Effects]]


class Topic(Named):
    """A named stream. With `history=True` it is durable: its events are numbered, kept and replayed.

    Name: 1 to 200 characters of any script. Two declarations of one name are one topic.
    """

    _known: WeakValueDictionary[str, Topic] = WeakValueDictionary()
    _pinned: set[Topic] = set()  # those with operations must not be forgotten

    name: str
    history: bool
    operations: list[Operation]

    def __new__(cls, name: str, history: bool = False) -> Topic:
        if not isinstance(name, str):
            raise TypeError(f"a topic's name is a str, not {kind(name)}")
        if not 0 < len(name) <= NAME:
            raise ValueError(f"a topic's name has 1 to {NAME} characters, not {len(name)}")
        if history and private.server_of(name) is not None:
            raise ValueError(f"topic {name!r} is private: it keeps no history")
        topic = cls._known.get(name)
        if topic is None:
            topic = super().__new__(cls)
            topic.name, topic.history, topic.operations = name, history, []
            cls._known[name] = topic
        elif topic.history != history:
            raise ValueError(f"topic {name!r} is declared with history={topic.history} elsewhere")
        return topic

    @classmethod
    def known(cls) -> dict[str, Topic]:
        """The topics that exist in this process, by name."""
        return dict(sorted(cls._known.items()))

    def __repr__(self) -> str:
        return f"Topic({self.name!r}{', history=True' if self.history else ''})"

    # publishing -----------------------------------------------------------------------------------------------
    async def publish(self, content: Content) -> int | None:
        """Publish, and return when the layer has it (plain) or the database (durable: the offset).

        Raises TypeError for anything but str and bytes; PublishError or commits.Unavailable when it cannot be done.
        """
        checked(content)
        serving = Hub.here
        if serving and serving.loop is not asyncio.get_running_loop() and serving.loop.is_running():
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.publish(content), serving.loop))
        if self.history:
            offset = await commits().write(history.publish, (self.name, content))
            self.operate(content)
            return offset
        try:
            async with asyncio.timeout(LIMIT):
                await asyncio.shield(self.publish_nowait(content))
        except TimeoutError:
            raise PublishError(f"the channel layer did not take the message within {LIMIT} s") from None
        return None

    def publish_nowait(self, content: Content) -> asyncio.Future[None]:
        """Hand a message of a plain topic to the hub, from its loop, without waiting.

        What is published in one turn of the loop travels together. The future ends when the layer has it; it need
        not be awaited.
        """
        if self.history:
            raise TypeError(f"{self!r} is durable: await publish()")
        sent = hub().publish(self.name, (checked(content),))
        if self.operations:
            self.operate(content)
        return sent

    def publish_sync(self, content: Content) -> int | None:
        """Publish from a view, a thread, a management command or another process.

        A durable topic takes part in the caller's transaction, if there is one.
        """
        checked(content)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("publish_sync blocks: inside the event loop, await publish()")
        serving = Hub.here
        if serving and not serving.loop.is_running():
            serving = None
        if self.history:
            with transaction.atomic():
                [offset] = history.publish([(self.name, content)])
                transaction.on_commit(lambda: self._operate_after_commit(serving, content))
            return offset
        if serving is None:
            if in_memory():
                raise PublishError(_unreachable(self))
            asyncio.run(_alone(self.publish(content)))
            return None
        if private.server_of(self.name) not in (None, private.SERVER) and in_memory():
            raise PublishError(_unreachable(self))
        try:
            asyncio.run_coroutine_threadsafe(self.publish(content), serving.loop).result(2 * LIMIT)
        except concurrent.futures.TimeoutError:
            raise PublishError("the event loop did not take the message in time") from None
        return None

    def _operate_after_commit(self, serving: Hub | None, content: Content) -> None:
        if serving:
            with suppress(RuntimeError):  # its loop has ended
                serving.loop.call_soon_threadsafe(self.operate, content)
        elif self.operations:
            asyncio.run(_alone(self._perform_all(content)))

    async def _perform_all(self, content: Content) -> None:
        self.operate(content)

    # what happens on the way ----------------------------------------------------------------------------------
    def on_publish(self, operation: Operation) -> Operation:
        """Run `operation(content)` once per publish, in the publishing process. It returns effects or None.

        One that fails is logged; the message itself and the other operations are not affected.
        """
        if not callable(operation):
            raise TypeError(f"an operation is a function of the content, not {kind(operation)}")
        if private.server_of(self.name) is not None:
            raise ValueError(f"{self!r} is private: it has no operations, which would outlive its connection")
        self.operations.append(operation)
        Topic._pinned.add(self)
        return operation

    def operate(self, content: Content, depth: int = 0) -> None:
        """Begin this topic's operations on what was published. For who publishes by the log itself."""
        for operation in self.operations:
            task = asyncio.get_running_loop().create_task(self._perform(operation, content, depth))
            _performing.add(task)
            task.add_done_callback(_performing.discard)

    async def _perform(self, operation: Operation, content: Content, depth: int) -> None:
        try:
            if depth >= DEPTH:
                raise RecursionError(f"operations publish in a circle through {self!r}")
            effects = operation(content)
            if inspect.isawaitable(effects):
                effects = await effects
            for effect in _effects(operation, effects):
                if effect.topic.history:
                    await commits().write(history.publish, (effect.topic.name, effect.content))
                else:
                    await asyncio.shield(hub().publish(effect.topic.name, (effect.content,)))
                if isinstance(effect.topic, Topic):
                    effect.topic.operate(effect.content, depth + 1)
        except Exception:
            logger.exception("an operation of %r failed", self)

    # subscribing ----------------------------------------------------------------------------------------------
    @asynccontextmanager
    async def subscribe(self, since: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        """`async with topic.subscribe() as events:` then `async for event in events`: every event, to each reader.

        `since`: the last offset held, in a durable topic. Raises SlowReader when 10,000 events wait.
        """
        reader = _Reader()
        subscription = await hub().subscribe(self.name, reader, durable=self.history, since=since)
        subscription.start()
        try:
            yield reader.events()
        finally:
            subscription.close()


class _Reader:
    """A reader in Python: a queue that knows its limit."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._behind = False

    def write(self, events: Sequence[Event]) -> None:
        self._behind = self._behind or len(self._waiting) + len(events) > WAITING
        if not self._behind:
            self._waiting.extend(events)
        self._changed.set()

    async def drain(self) -> None:
        while self._waiting and not self._behind:
            self._changed.clear()
            await self._changed.wait()

    async def events(self) -> AsyncIterator[Event]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            self._changed.set()  # drained
            if self._behind:
                raise SlowReader(f"more than {WAITING} events waited for this reader")
            self._changed.clear()
            await self._changed.wait()


_performing: set[asyncio.Task[None]] = set()


class _Lone(threading.local):
    """This thread's hub while it publishes from a process that does not serve: no other thread may hand it anything."""

    hub: Hub | None = None


_lone = _Lone()


def hub() -> Hub:
    """This process's hub, for the loop that serves; another loop replaces it."""
    loop = asyncio.get_running_loop()
    if _lone.hub and _lone.hub.loop is loop:
        return _lone.hub
    if Hub.here is None or Hub.here.loop is not loop:
        if Hub.here and not Hub.here.loop.is_closed():
            if Hub.here.loop.is_running():
                raise RuntimeError("this process's hub serves another event loop: publish from here, subscribe there")
            Hub.here.close()
        Hub.here = Hub(_layer_makers(), history.Log(), private.SERVER)
    return Hub.here


class Connected(Protocol):
    """A connection: one of this process's own, or a row of registry.clients()."""

    id: str
    server_id: str


def topic_out(connection: Connected) -> Topic:
    """The private topic that reaches this client and nobody else, from any process."""
    return Topic(private.name_of(private.OUT, connection.server_id, connection.id))


def topic_in(connection: Connected) -> Topic:
    """The private topic that reaches whoever takes this client's messages, from any process."""
    return Topic(private.name_of(private.IN, connection.server_id, connection.id))


def generate_uid() -> str:
    """A name that nobody else has, usable as a topic."""
    return uuid.uuid4().hex


def _layer_makers() -> list[Callable[[], Layer]]:
    """One for each layer in settings.CHANNEL_LAYERS: "default" and, with several Redis hosts, those after it.

    A layer that has gone deaf is replaced by a new object, with connections of its own.
    """
    return [partial(channel_layers.make_backend, name) for name in channel_layers.configs]


def _effects(operation: Operation, effects: Any) -> Iterable[Publish]:
    if effects is None:
        return ()
    if isinstance(effects, list | tuple) and all(isinstance(effect, Publish) for effect in effects):
        return effects
    raise TypeError(f"{operation!r} must return a list of effects or None, not {effects!r}")


async def _alone(publishing: Awaitable[Any]) -> None:
    """Publish from a process that does not serve: a hub without a seat, for the moment that it takes."""
    lone = _lone.hub = Hub(_layer_makers(), history.Log(), private.SERVER)
    try:
        await publishing
        while performing := [task for task in _performing.copy() if task.get_loop() is lone.loop]:
            await asyncio.wait(performing)
    finally:
        lone.close()
        _lone.hub = None


def in_memory() -> bool:
    """Whether the channel layer reaches this process alone."""
    return str(channel_layers.configs["default"]["BACKEND"]).endswith(InMemoryChannelLayer.__name__)


def _unreachable(topic: Topic) -> str:
    durable = "" if private.server_of(topic.name) else ", or declare the topic with history=True"
    return (
        f"{topic!r} cannot be published to from here: the in-memory channel layer reaches only the process that "
        f"serves. Publish inside the server, or set REDIS_URL{durable}."
    )
