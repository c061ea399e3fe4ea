"""The WebSocket consumers of chat: TopicConsumer, plain topic mode; ChatConsumer, the chat UI's commands.

They only carry: topics deliver, rooms.py and edits.py write, protocol.py speaks.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, TypeVar, get_args
from urllib.parse import parse_qsl
from weakref import WeakValueDictionary

from django.conf import settings

from realtime_project import database
from realtime_project.commits import Unavailable, commits
from realtime_project.connections import Connection
from realtime_project.consumers import Consumer
from realtime_project.feeds import Content, Event, Subscription
from realtime_project.figures import counters, posts
from realtime_project.limits import Bucket
from realtime_project.topics import PublishError, Topic, hub

from . import edits, protocol, rooms
from .models import Room, room_topic
from .presence import Watch, presence

logger = logging.getLogger(__name__)

UNACKNOWLEDGED = 256  # writes of one connection that wait for their commit before its next frame is read
SUBSCRIPTIONS = 200  # rooms of one connection
PATIENCE = 5.0  # seconds a subscription waits for the database
BUCKETS = 1_000  # people whose buckets are kept before the full ones are thrown out
GLANCE = 1.0  # seconds between two looks at whether a client that must wait is still there
TYPING = 1.0  # seconds between two typing notices of one connection
REFUSED = 100, 10.0  # refusals for being too fast, in so many seconds, before the connection is closed
LOGIN, TOO_FAST = 4401, 4429  # close codes

Item = TypeVar("Item")
Service = Callable[[list[Item]], list[rooms.Ack | rooms.Refusal]]


class TopicConsumer(Consumer):
    """An endpoint in topic mode: what arrives goes to every subscriber, as it is.

    clients_subscribe_to: topics that a client receives; `?since=41` asks durable ones for what came after offset 41.
    clients_push_into: plain or durable topics that a client's messages go to; where there are none they are ignored.
    rate, burst: messages a second that a client may push, and at once (as many as two seconds bring, if not given). One
    that is faster is read no faster. Without a rate there is no limit.
    What others publish to a connection's topic_in is treated like what its client sends.
    """

    mode = "topic"

    def __init__(
        self,
        clients_subscribe_to: Sequence[Topic] = (),
        clients_push_into: Sequence[Topic] = (),
        rate: float = 0,
        burst: float | None = None,
    ) -> None:
        super().__init__()
        self.bucket = Bucket(*self.pace(rate=rate, burst=burst), time.monotonic)
        self.sources, self.targets = clients_subscribe_to, clients_push_into
        self.subscriptions: list[Subscription] = []

    @classmethod
    def as_asgi(cls, **arguments: Any) -> Any:
        """Checks its arguments at once: a mistake shows when the endpoint is declared."""
        known = {"clients_subscribe_to", "clients_push_into", "rate", "burst"}
        if unknown := set(arguments) - known:
            raise TypeError(f"TopicConsumer has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
        given = {name: topics for name, topics in arguments.items() if name not in ("rate", "burst")}
        for name, topics in given.items():
            if not isinstance(topics, list | tuple):
                raise TypeError(f"{name} must be a list of topics, not {topics!r}")
            if wrong := [topic for topic in topics if not isinstance(topic, Topic)]:
                raise TypeError(f"{name} must hold topics, not {wrong[0]!r}")
        if not any(given.values()):
            raise TypeError("an endpoint needs topics: give clients_subscribe_to, clients_push_into or both")
        _check_rate(arguments.get("rate"), arguments.get("burst"), given.get("clients_push_into"))
        return super().as_asgi(**arguments)

    @classmethod
    def pace(cls, **arguments: Any) -> tuple[float, float]:
        rate, burst = arguments.get("rate") or 0, arguments.get("burst")
        return rate, (max(1, 2 * rate) if burst is None else burst) if rate else 0

    async def connect(self) -> None:
        self.receive_private()
        since = _since(self.scope["query_string"])
        for topic in self.sources:
            self.subscriptions.append(
                await hub().subscribe(
                    topic.name, self.connection, durable=topic.history, since=since if topic.history else None
                )
            )
        await self.accept()
        for subscription in self.subscriptions:
            subscription.start()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        content: Content = bytes_data if text_data is None else text_data  # type: ignore[assignment]
        if self.targets and (seconds := self.bucket.take()):
            counters.rate_limited += 1
            while seconds and not self.connection.gone:
                await asyncio.sleep(min(seconds, GLANCE))
                seconds = self.bucket.take()
        for topic in self.targets:
            await self.push(topic, content)

    async def disconnect(self, code: int) -> None:
        for subscription in self.subscriptions:
            subscription.close()


def _check_rate(rate: Any, burst: Any, pushed_into: Any) -> None:
    for name, value, least in (("rate", rate, 0), ("burst", burst, 1)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number of messages, not {value!r}")
        if not least <= value < math.inf:
            raise ValueError(f"{name} must be a number from {least} on, not {value!r}")
    if burst is not None and not rate:
        raise TypeError("burst needs a rate: without one there is no limit")
    if rate and not pushed_into:
        raise TypeError("rate limits what clients push: give clients_push_into")


def _since(query: bytes) -> int | None:
    value = _asked(query).get("since", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None


def _asked(query: bytes) -> dict[str, str]:
    """The parameters of a connection; none if there are too many to be meant."""
    try:
        return dict(parse_qsl(query.decode("latin1"), max_num_fields=50))
    except ValueError:
        return {}


class Seat(NamedTuple):
    """A connection's place in a room: the room's log, its fleeting news (typing, read), and who is online."""

    room: int
    log: Subscription
    live: Subscription
    watch: Watch

    def start(self) -> None:
        self.log.start()
        self.live.start()
        self.watch.start()

    def close(self) -> None:
        self.log.close()
        self.live.close()
        self.watch.close()


class RoomReader:
    """A person's end of a room's log: what comes goes to their connection, and nothing after their own removal.

    Who joins or leaves the room may be online: presence is told.
    """

    def __init__(self, connection: Connection, user: int, end: Callable[[], None]) -> None:
        self.connection, self.user, self.end = connection, user, end

    def write(self, events: Sequence[Event]) -> None:
        for count, event in enumerate(events, 1):
            if change := protocol.membership(event.content):
                presence().ask(change[1])
                if change == ("removed", self.user):
                    self.connection.write(events[:count])
                    self.end()
                    return
        self.connection.write(events)

    async def drain(self) -> None:
        await self.connection.drain()


class ChatConsumer(Consumer):
    """The chat UI's one connection. Its language is protocol.py."""

    mode = "chat"
    max_size: ClassVar[int | None] = 64 * 1024

    def __init__(self) -> None:
        super().__init__()
        self.seats: dict[str, Seat] = {}
        self.unacknowledged = 0
        self.room_to_write = asyncio.Event()
        self.typed_at = 0.0
        self.refused: list[float] = []
        self.commands: dict[type, Callable[[Any], Awaitable[None]]] = {
            protocol.Subscribe: self.subscribe,
            protocol.Unsubscribe: self.unsubscribe,
            protocol.PostMessage: self.post,
            protocol.Edit: self.edit,
            protocol.Delete: self.delete,
            protocol.React: self.react,
            protocol.Typing: self.typing,
            protocol.Read: self.read,
        }

    @classmethod
    def samples(cls, **arguments: Any) -> list[str]:
        return [
            '{"type": "subscribe", "room": "lobby", "since": null}',
            '{"type": "post", "room": "lobby", "id": "c-1", "text": "hi"}',
            '{"type": "typing", "room": "lobby"}',
        ]

    @classmethod
    def types(cls, **arguments: Any) -> list[type]:
        return list(get_args(protocol.Commands))

    @classmethod
    def pace(cls, **arguments: Any) -> tuple[float, float]:
        return (settings.WEBSOCKET_RATE, settings.WEBSOCKET_BURST) if settings.WEBSOCKET_RATE else (0, 0)

    async def connect(self) -> None:
        await self.accept()
        self.user = self.scope["user"]
        if not self.user.is_authenticated or self._meant_for_another():
            # accepted first: a browser cannot read why a handshake was refused
            self.connection.close_soon(LOGIN, "log in first")
            return
        self.bucket = bucket_of(self.user.pk)

    def _meant_for_another(self) -> bool:
        """Whether `?as=3` names another person: a page whose browser has changed hands must not post as the new one."""
        meant = _asked(self.scope["query_string"]).get("as")
        return meant is not None and meant != str(self.user.pk)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            if text_data is None:
                raise protocol.Invalid("Commands are JSON in text frames, not binary.")
            command = protocol.decode(text_data)
        except protocol.Invalid as error:
            if not self._too_fast(error.id):
                self._error(error.id, "invalid_message", str(error))
            return
        if not self._too_fast(command.id):
            await self.commands[type(command)](command)

    async def disconnect(self, code: int) -> None:
        for seat in self.seats.values():
            seat.close()
        self.seats.clear()

    # commands -------------------------------------------------------------------------------------------------
    async def subscribe(self, command: protocol.Subscribe) -> None:
        slug = command.room
        if slug not in self.seats and len(self.seats) >= SUBSCRIPTIONS:
            self._error(command.id, "invalid_message", f"A connection has at most {SUBSCRIPTIONS} rooms.")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                seat = await self._admit(command)
        except Exception as error:
            _log_failure(self.connection.id, "subscribing", error)
            self._error(command.id, "unavailable", "The room cannot be opened now. Try again in a moment.")
            return
        if seat is None:
            self._error(command.id, *rooms.NO_ROOM)
            return
        if former := self.seats.get(slug):
            former.close()
        self.seats[slug] = seat
        log = seat.log
        self.connection.send_text(protocol.subscribed(command.id, slug, log.head, log.epoch, log.recovered))
        seat.start()

    async def _admit(self, command: protocol.Subscribe) -> Seat | None:
        """A seat in the room, or None where there is no such room for this person."""
        room, is_private = await database.run(_find_room, command.room, self.user.pk)
        if room is None:
            return None
        seat = await self._take_seat(room, is_private, command)
        if is_private:
            # Asked again: a removal before now may have been delivered before the seat was taken; one from now on
            # comes after its cursor, and ends it.
            try:
                still, _ = await database.run(_find_room, command.room, self.user.pk)
            except BaseException:
                seat.close()
                raise
            if still is None:
                seat.close()
                return None
        return seat

    def _lose_seat(self, slug: str) -> None:
        if seat := self.seats.pop(slug, None):
            seat.close()

    async def _take_seat(self, room: int, is_private: bool, command: protocol.Subscribe) -> Seat:
        def reload(subscription: Subscription) -> None:
            self.connection.send_text(
                protocol.subscribed(None, command.room, subscription.head, subscription.epoch, False)
            )

        reader = RoomReader(self.connection, self.user.pk, lambda: self._lose_seat(command.room))
        log = await hub().subscribe(
            room_topic(room), reader, durable=True, since=command.since, epoch=command.epoch, on_reset=reload
        )
        try:
            live = await hub().subscribe(live_topic(room).name, self.connection)
        except BaseException:
            log.close()
            raise
        watch = presence().watch(room, command.room, is_private, self.user.pk, self.connection)
        return Seat(room, log, live, watch)

    async def unsubscribe(self, command: protocol.Unsubscribe) -> None:
        if seat := self.seats.pop(command.room, None):
            seat.close()
        else:
            self._error(command.id, "not_found", "This connection is not subscribed to that room.")

    async def post(self, command: protocol.PostMessage) -> None:
        self.typed_at = 0.0  # who goes on writing is seen to
        await self._write(command.id, rooms.post, rooms.Post(self.user.pk, command.room, command.id, command.text))

    async def edit(self, command: protocol.Edit) -> None:
        await self._write(command.id, edits.edit, edits.Edit(self.user.pk, command.message, command.text))

    async def delete(self, command: protocol.Delete) -> None:
        await self._write(command.id, edits.delete, edits.Delete(self.user.pk, command.message))

    async def react(self, command: protocol.React) -> None:
        item = edits.React(self.user.pk, command.message, command.emoji, command.on)
        await self._write(command.id, edits.react, item)

    async def _write(self, id: str | None, function: Service[Item], item: Item) -> None:
        """Many writes of one connection may be in flight: the ack finds its way by id."""
        taken = time.perf_counter()
        while self.unacknowledged >= UNACKNOWLEDGED:
            self.room_to_write.clear()
            await self.room_to_write.wait()
        self.unacknowledged += 1
        commits().write(function, item).add_done_callback(lambda done: self._written(id, taken, done))

    def _written(self, id: str | None, taken: float, done: asyncio.Future[rooms.Ack | rooms.Refusal]) -> None:
        self.unacknowledged -= 1
        self.room_to_write.set()
        outcome = self._outcome(id, done)
        if isinstance(outcome, rooms.Ack):
            self.connection.send_text(protocol.ack(id, *outcome))
            posts.add(time.perf_counter() - taken)

    async def typing(self, command: protocol.Typing) -> None:
        seat = self._seat(command)
        now = time.monotonic()
        if seat and now - self.typed_at >= TYPING:
            self.typed_at = now
            person = {"id": self.user.pk, "name": self.user.name}
            self._fleeting(seat, protocol.typing(command.room, person))

    async def read(self, command: protocol.Read) -> None:
        if seat := self._seat(command):
            mark = rooms.Mark(self.user.pk, command.room, command.offset)
            commits().write(rooms.mark_read, mark).add_done_callback(lambda done: self._marked(command, seat, done))

    def _marked(self, command: protocol.Read, seat: Seat, done: asyncio.Future[int | rooms.Refusal]) -> None:
        offset = self._outcome(command.id, done)
        if isinstance(offset, int):
            self._fleeting(seat, protocol.read(command.room, self.user.pk, offset))

    # ----------------------------------------------------------------------------------------------------------
    def _seat(self, command: protocol.Typing | protocol.Read) -> Seat | None:
        seat = self.seats.get(command.room)
        if seat is None:
            self._error(command.id, "not_found", "This connection is not subscribed to that room.")
        return seat

    def _fleeting(self, seat: Seat, event: str) -> None:
        with suppress(PublishError):  # nothing depends on it
            live_topic(seat.room).publish_nowait(event)

    def _outcome(self, id: str | None, done: asyncio.Future[Any]) -> Any:
        """The result of a write; None, with the error sent, where there is none."""
        if done.cancelled():
            return None
        error = done.exception()
        if error is None:
            outcome = done.result()
            if not isinstance(outcome, rooms.Refusal):
                return outcome
            self._error(id, *outcome)
        else:
            if not isinstance(error, Unavailable):
                _log_failure(self.connection.id, "writing", error)
            self._error(id, "unavailable", "It could not be stored now. Try again in a moment.")
        return None

    def _too_fast(self, id: Any) -> bool:
        wait = self.bucket.take()
        if not wait:
            return False
        counters.rate_limited += 1
        most, window = REFUSED
        now = time.monotonic()
        self.refused = [at for at in self.refused if now - at < window] + [now]
        if len(self.refused) > most:
            self.connection.close_soon(TOO_FAST, "too many messages")
        else:
            detail = "That was too fast. Nothing was stored; try again shortly."
            self._error(id, "rate_limited", detail, retry_after=round(wait, 3))
        return True

    def _error(self, id: Any, code: protocol.Code, detail: str, **more: Any) -> None:
        self.connection.send_text(protocol.error(id, code, detail, **more))


_buckets: dict[int, Bucket] = {}  # kept for those who come back, until they are full
_held: WeakValueDictionary[int, Bucket] = WeakValueDictionary()  # ... and those that a connection holds, in any case


def bucket_of(user_id: int) -> Bucket:
    """One bucket a person and process, whatever the number of their connections; coming back does not fill it."""
    bucket = _held.get(user_id)
    if bucket is None:
        bucket = _held[user_id] = Bucket(settings.WEBSOCKET_RATE, settings.WEBSOCKET_BURST, time.monotonic)
    if user_id not in _buckets:
        if len(_buckets) >= BUCKETS:
            for each in [each for each, kept in _buckets.items() if kept.full]:
                del _buckets[each]
        _buckets[user_id] = bucket
    return bucket


def live_topic(room: int) -> Topic:
    """What passes in a room without being kept."""
    return Topic(f"chat.live:{room}")


def _log_failure(connection: str, doing: str, error: BaseException) -> None:
    logger.error("connection %s: %s failed: %r", connection, doing, error)


def _find_room(slug: str, user: int) -> tuple[int | None, bool]:
    """The number of the room, if there is one for this person, and whether it is private."""
    found = Room.objects.open_to(user).filter(slug=slug).values_list("pk", "is_private").first()
    return found or (None, False)
