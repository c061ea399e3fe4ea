"""How effects are performed: one function a type. `performs` registers one for a type of one's own.

Performed after the state was saved, in order, at most once. One that fails is logged; the others do not
depend on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from realtime_project.feeds import Content, Event, Reader, Subscription
from realtime_project.publishing import Publish
from realtime_project.topics import Topic, hub

from .effects import Call, Close, Effect, Subscribe, Unsubscribe, Write
from .messages import CallFailed

logger = logging.getLogger(__name__)

CALLS = 100  # of one actor at a time
SUBSCRIPTIONS = 1_000  # of one actor
WAITING = 1_000  # messages that wait for the layer before an actor goes on


class Connection(Protocol):
    """What an actor asks of its client's connection."""

    id: str
    endpoint: str

    def write(self, events: Sequence[Event]) -> None: ...
    async def drain(self) -> None: ...
    def close_soon(self, code: int, reason: str = "") -> None: ...


class Performing(Protocol):
    """What performers see of an actor."""

    connection: Connection | None  # None: its client is away
    subscriptions: dict[str, Subscription]
    calls: int  # under way
    clients: dict[str, Any]  # outbound ones that it has started

    def tell_soon(self, message: Any) -> bool: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...
    def is_own(self, topic: Any) -> bool: ...


class Heard(NamedTuple):
    """What a subscription with an operation brought."""

    op: Callable[[Any], Any]
    content: Content


Performer = Callable[[Any, Any], Awaitable[None] | None]
performers: dict[type, Performer] = {}


def performs(effect: type) -> Callable[[Performer], Performer]:
    """`@performs(SendMail)` above `async def send(actor, effect)`: how an own type of effect is performed."""
    if not (isinstance(effect, type) and issubclass(effect, Effect | Publish)):
        raise TypeError(f"own effects derive from actors.effects.Effect; {effect!r} does not")
    if effect in performers:
        raise ValueError(f"{effect.__name__} is performed by {performers[effect]!r} already")

    def declare(function: Performer) -> Performer:
        performers[effect] = function
        return function

    return declare


@performs(Publish)
def publish(actor: Performing, effect: Publish) -> Awaitable[None] | None:
    topic = effect.topic
    if actor.is_own(topic):  # its client's: no need of the layer
        if actor.connection:
            actor.connection.write((Event(effect.content),))
        return None
    assert isinstance(topic, Topic)
    if topic.history:  # it stands in the log already, with the state
        topic.operate(effect.content)
        return None
    sent = topic.publish_nowait(effect.content)
    if hub().waiting <= WAITING:
        return None
    return asyncio.shield(sent)  # others who published wait for it too: one who is cancelled may not take it from them


@performs(Write)
def written(actor: Performing, effect: Write) -> None:
    """It ran in the transaction that saved the state."""


@performs(Close)
def close(actor: Performing, effect: Close) -> None:
    if actor.connection:
        actor.connection.close_soon(effect.code, effect.reason)


@performs(Subscribe)
async def subscribe(actor: Performing, effect: Subscribe) -> None:
    if actor.connection is None:  # whoever is told by the topic is away
        return
    name = effect.topic.name
    if former := actor.subscriptions.pop(name, None):
        former.close()
    if len(actor.subscriptions) >= SUBSCRIPTIONS:
        raise RuntimeError(f"an actor has at most {SUBSCRIPTIONS} subscriptions")
    reader: Reader = actor.connection
    if effect.op:
        reader = Ear(actor, partial(Heard, effect.op))
    elif effect.as_message:
        reader = Ear(actor, effect.as_message)
    durable = effect.topic.history
    subscription = await hub().subscribe(name, reader, durable=durable, since=effect.since)
    actor.subscriptions[name] = subscription
    subscription.start()


@performs(Unsubscribe)
def unsubscribe(actor: Performing, effect: Unsubscribe) -> None:
    if subscription := actor.subscriptions.pop(effect.topic.name, None):
        subscription.close()


@performs(Call)
def call(actor: Performing, effect: Call) -> None:
    if actor.calls >= CALLS:
        raise RuntimeError(f"an actor has at most {CALLS} calls at a time")
    actor.calls += 1
    actor.spawn(_answer(actor, effect))


async def _answer(actor: Performing, effect: Call) -> None:
    try:
        result = await effect.function(*effect.arguments)
    except Exception as error:
        logger.warning("%s: %r failed: %r", actor, effect.function, error)
        result = CallFailed(getattr(effect.function, "__name__", repr(effect.function)), repr(error))
    finally:
        actor.calls -= 1
    if result is not None:
        actor.tell_soon(result)


class Ear:
    """A subscription's reader that tells the actor what comes, each as the message that `hear` makes of it."""

    def __init__(self, actor: Performing, hear: Callable[[Any], Any]) -> None:
        self.actor, self.hear = actor, hear

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            try:
                message = self.hear(event.content)
            except Exception:  # one that cannot be understood is no reason to hear no more
                logger.exception("%s: %r failed on what was published", self.actor, self.hear)
            else:
                self.actor.tell_soon(message)

    async def drain(self) -> None:
        await asyncio.sleep(0)
