"""WebSocketClient: an outbound connection between topics, or one that drives an actor. Kept up until it is stopped.

    client = WebSocketClient("wss://example.org/feed", in_stream_into=[inbox], out_stream_from=[outbox])
    client.start()
    …
    await client.stop()

The rule: it is tried again for ever, later and later, and never at the same moment as everybody else; what can only be
mended by somebody is tried seldom. Whatever ends it, its connection is closed and no task of it remains.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import random
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from websockets.asyncio.client import ClientConnection

from realtime_project import private
from realtime_project.feeds import Content, Subscription
from realtime_project.history import MAX_EVENT
from realtime_project.publishing import kind
from realtime_project.topics import Topic, hub, topic_in, topic_out

from .addresses import Allowed, target_of
from .consumers import ActorConsumer, Setup
from .effects import StartClient, StopClient, streams
from .links import DONE, FAREWELL, Counts, Link, Waiting, explained, is_refusal, open_socket
from .machine import Machine
from .messages import Invalid, ServerConnected, ServerDisconnected
from .performers import performs
from .rules import Rules
from .runtime import Actor, OnError
from .states import Done
from .stored import Own
from .streams import Durable, Inward, Plain

logger = logging.getLogger(__name__)

FIRST, LONGEST = 0.5, 60.0  # seconds before the first new attempt; twice as many before each further one, up to this
SELDOM = 300.0  # seconds before the next attempt where somebody has to change something first
STEADY = 10.0  # seconds that a connection has to last before the pauses begin anew
SIZE = 1024 * 1024  # bytes of one message, in either direction
MOST = 10_000  # messages that wait for a connection
MOST_BYTES = 16 * 1024 * 1024  # ... and bytes of them
CLIENTS = 10  # of one actor


class ClientError(RuntimeError):
    """A client that runs was started, or one that does not was stopped."""


class Status(enum.StrEnum):
    STOPPED = "stopped"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"  # for the next attempt
    REFUSED = "refused"  # and waiting: somebody has to change something


class WebSocketClient:
    """A connection to a server elsewhere.

    in_stream_into, out_stream_from: topics. What comes is published to the former; what the latter publish is sent.
    initial_state, rules, messages, on_error: instead of topics, an actor as ActorConsumer's. Each connection has a new
    one: it is told ServerConnected, then what comes, then ServerDisconnected. `Close` ends a connection, and Done ends
    the client too.
    headers: of the handshake, such as {"Authorization": "Bearer …"}. subprotocols: those that are offered.
    max_size: bytes of one message. max_waiting: messages that wait to be sent, in plain topics for a connection too.
    trust: instead of this system's certificate authorities.
    cursors: of durable topics in out_stream_from, how far the other end is known to have them: {name: (offset, epoch)}.

    status, last_error, next_attempt_at, connected_at and counts say how it goes. Raises TypeError or ValueError for
    what cannot work.
    """

    def __init__(
        self,
        url: str,
        *,
        in_stream_into: Sequence[Topic] = (),
        out_stream_from: Sequence[Topic] = (),
        initial_state: Any = None,
        rules: Rules | Mapping[tuple[Any, Any], Callable[..., Any]] | None = None,
        messages: Sequence[type] = (),
        on_error: OnError = "keep",
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        max_size: int = SIZE,
        max_waiting: int = MOST,
        trust: ssl.SSLContext | None = None,
        cursors: Mapping[str, tuple[int, str]] | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.target = target_of(url)
        self.counts = counts or Counts()
        self.setup: Setup | None = None
        if initial_state is not None or rules is not None:
            if in_stream_into or out_stream_from:
                raise TypeError("a client stands between topics or drives an actor, not both")
            endpoint = ActorConsumer.as_asgi(
                initial_state=initial_state, rules=rules, messages=messages, on_error=on_error
            )
            self.setup = endpoint.consumer_initkwargs["setup"]
        else:
            streams(in_stream_into, out_stream_from)
        for name, value in (("max_size", max_size), ("max_waiting", max_waiting)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is a whole number, 1 or more, not {kind(value)}")
        if not isinstance(subprotocols, list | tuple):
            raise TypeError(f"subprotocols is a list of names, not {kind(subprotocols)}")
        if trust and not (trust.check_hostname and trust.verify_mode == ssl.CERT_REQUIRED):
            raise ValueError("certificates are checked: `trust` may name other authorities, not none")
        if any(topic.history for topic in in_stream_into):
            max_size = min(max_size, MAX_EVENT)
        self.headers = _checked_headers(headers or {})
        self.subprotocols, self.trust = list(subprotocols), trust
        self.max_size, self.max_waiting = max_size, max_waiting
        self.status = Status.STOPPED
        self.last_error = ""
        self.next_attempt_at: datetime | None = None
        self.connected_at: datetime | None = None
        self._into, self._plain = list(in_stream_into), [topic for topic in out_stream_from if not topic.history]
        self._durable = {topic: (cursors or {}).get(topic.name) for topic in out_stream_from if topic.history}
        self._streams: list[Durable] = []
        self._end: asyncio.Future[tuple[int, str]] | None = None  # it runs until this is set; None: it does not run
        self._over: asyncio.Future[None]
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"WebSocketClient({self.target.shown!r})"

    @property
    def cursors(self) -> dict[str, tuple[int, str]]:
        """How far the other end is known to have the durable topics."""
        return {each.topic.name: (each.cursor, each.epoch) for each in self._streams if each.cursor is not None}

    # its life -------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin, beside the caller. Raises ClientError where it runs already."""
        self._begin()
        self._task = asyncio.get_running_loop().create_task(self._live(), context=Context())

    async def run(self) -> None:
        """The same, for who awaits it: until stop(), or its task is cancelled; the other end is then told 1001."""
        self._begin()
        await self._live()

    async def stop(self, code: int = DONE, reason: str = "") -> None:
        """Send what waits, close, and return when nothing of it is left. Raises ClientError where it does not run."""
        if self._end is None or self._end.done():
            raise ClientError(f"{self!r} does not run")
        self._end.set_result((code, reason))
        await asyncio.wait([self._over])

    def _begin(self) -> None:
        if self._end:
            raise ClientError(f"{self!r} runs already")
        loop = asyncio.get_running_loop()
        self._end, self._over = loop.create_future(), loop.create_future()
        self.status = Status.CONNECTING

    async def _live(self) -> None:
        waiting, inward = Waiting(self.max_waiting, MOST_BYTES, self.max_size), Inward(self._into, self.counts)
        subscriptions: list[Subscription] = []
        self._streams = [Durable(topic, waiting, self.counts, *(known or ())) for topic, known in self._durable.items()]
        try:
            for topic in self._plain:
                subscription = await hub().subscribe(topic.name, Plain(waiting, self.counts))
                subscriptions.append(subscription)
                subscription.start()
            await self._keep_connected(waiting, inward)
        finally:
            self.status, self.next_attempt_at, self.connected_at = Status.STOPPED, None, None
            for subscription in subscriptions:
                subscription.close()
            if waiting:
                self.counts.dropped += len(waiting)
                self.counts.gaps += 1
            self._durable |= {
                each.topic: (each.cursor, each.epoch) for each in self._streams if each.cursor is not None
            }
            await inward.close(FAREWELL)
            self._end = None
            if not self._over.done():
                self._over.set_result(None)

    async def _keep_connected(self, waiting: Waiting, inward: Inward) -> None:
        attempt, is_first, loop = 0, True, asyncio.get_running_loop()
        assert self._end
        while not self._end.done():
            self.status, self.next_attempt_at = Status.CONNECTING, None
            refused = False
            try:
                socket = await self._before_the_end(self._open())
            except Exception as error:
                refused = is_refusal(error)
                self.last_error = explained(error)
                logger.warning("%r: %s", self, self.last_error)
            else:
                if socket is None:
                    return
                self.status, self.connected_at = Status.CONNECTED, timezone.now()
                self.counts.reconnects += not is_first
                is_first = False
                begun = loop.time()
                link = Link(socket, self.target, self._waiting_of(waiting), self.counts)
                await self._use(link, inward)
                self.connected_at = None
                if loop.time() - begun >= STEADY:
                    attempt = 0
            if self._end.done():
                return
            pause = pause_before(attempt, refused)
            attempt += 1
            self.status = Status.REFUSED if refused else Status.WAITING
            self.next_attempt_at = timezone.now() + timedelta(seconds=pause)
            await asyncio.wait([self._end], timeout=pause)

    def _waiting_of(self, waiting: Waiting) -> Waiting:
        """An actor has what waits to itself: what one connection did not send is not meant for the next."""
        return Waiting(self.max_waiting, MOST_BYTES, self.max_size) if self.setup else waiting

    async def _use(self, link: Link, inward: Inward) -> None:
        """From the handshake to the close."""
        assert self._end
        logger.info("%r: connected to %s", self, link.address)
        reading = self._drive(link, self.setup) if self.setup else self._stream(link, inward)
        work = [asyncio.create_task(each) for each in (reading, *(stream.pump() for stream in self._streams))]
        try:
            await _first(work[0], self._end)
            if self._end.done() and not work[0].done():
                link.close_soon(*self._end.result())
                await link.sent()
                await asyncio.wait(work[:1], timeout=FAREWELL)
        finally:
            await _cancelled(work[1:])
            await link.end()
            await asyncio.wait(work[:1], timeout=FAREWELL)
            await _cancelled(work)
            if link.unconfirmed:
                self.counts.unconfirmed += link.unconfirmed
                self.counts.gaps += 1
            if not self._end.done():
                self.last_error = link.ending
            logger.info("%r: %s", self, link.ending)

    async def _stream(self, link: Link, inward: Inward) -> None:
        async for content in link.messages():
            await inward.put(content)

    async def _drive(self, link: Link, setup: Setup) -> None:
        """One actor, as long as the connection."""
        own = Own(topic_in(link), topic_out(link))
        actor = Actor(Machine(setup.rules, setup.first_state(link), None), own, link, None, setup.on_error)

        def told(content: Content) -> None:
            with contextlib.suppress(Invalid):
                actor.tell_soon(self._decoded(setup, content))

        link.receiver = told
        private.clients[link.id] = link
        told_of = {"connection": link.id, "server": link.server_id, "url": link.endpoint, "address": link.address}
        try:
            await actor.begin()
            await actor.tell(
                ServerConnected(
                    **told_of,
                    time=link.connected_at,
                    topic_in=own.topic_in,
                    topic_out=own.topic_out,
                    subprotocol=link.subprotocol,
                )
            )
            async for content in link.messages():
                with contextlib.suppress(Invalid):
                    await actor.tell(self._decoded(setup, content))
        finally:
            private.clients.pop(link.id, None)
            await actor.leave(ServerDisconnected(**told_of, time=timezone.now(), code=link.code, reason=link.reason))
            if isinstance(actor.state, Done) and self._end and not self._end.done():
                self._end.set_result((DONE, ""))

    def _decoded(self, setup: Setup, content: Content) -> Any:
        """Raises Invalid, and counts it."""
        try:
            return content if isinstance(content, bytes) else setup.decoder(content)
        except Invalid as error:
            self.counts.dropped += 1
            logger.warning("%r: what came is no message: %s", self, error)
            raise

    async def _open(self) -> ClientConnection:
        for stream in self._streams:
            await stream.begin()
        return await open_socket(
            self.target,
            Allowed(settings.OUTBOUND_ALLOW),
            headers=self.headers,
            subprotocols=self.subprotocols,
            trust=self.trust,
            max_size=self.max_size,
        )

    async def _before_the_end(self, work: Coroutine[Any, Any, ClientConnection]) -> ClientConnection | None:
        """What is opened, unless the client ends first."""
        assert self._end
        task = asyncio.create_task(work)
        try:
            await _first(task, self._end)
        except asyncio.CancelledError:
            await _given_up(task)
            raise
        if task.done():
            return task.result()
        await _given_up(task)
        return None


def pause_before(attempt: int, refused: bool, chance: Callable[[], float] = random.random) -> float:
    """Seconds before the next attempt after so many that failed: the second half of them by chance, so that the clients
    of a server that comes back do not all come in one moment."""
    whole = SELDOM if refused else min(LONGEST, FIRST * 2 ** min(attempt, 30))
    return whole * (0.5 + chance() / 2)


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers are a dict of names and values, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("a header's name and value are str")
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{name!r} is no name of a header")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value) or not value.isascii():
            raise ValueError(f"the value of {name} has control characters, or letters beyond ASCII")
        if name.lower() in ("host", "upgrade", "connection") or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"{name} belongs to the handshake itself")
    return dict(headers)


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _given_up(task: asyncio.Task[ClientConnection]) -> None:
    task.cancel()
    [opened] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(opened, ClientConnection):
        opened.transport.abort()


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for answer in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(answer, Exception):
            logger.error("a part of a connection failed", exc_info=answer)


# the effects ----------------------------------------------------------------------------------------------------
@performs(StartClient)
def start_client(actor: Any, effect: StartClient) -> None:
    if actor.connection is None:  # whoever it is for is away
        return
    clients: dict[str, WebSocketClient] = actor.clients
    if effect.name in clients:
        raise ClientError(f"client {effect.name!r} runs already")
    if len(clients) >= CLIENTS:
        raise ClientError(f"an actor has at most {CLIENTS} clients at a time")
    client = clients[effect.name] = WebSocketClient(
        effect.url,
        in_stream_into=effect.in_stream_into,  # type: ignore[arg-type]  # topics, outside of tests of rules
        out_stream_from=effect.out_stream_from,  # type: ignore[arg-type]
        headers=effect.headers,
        subprotocols=effect.subprotocols,
    )
    actor.spawn(client.run())


@performs(StopClient)
def stop_client(actor: Any, effect: StopClient) -> None:
    client = actor.clients.pop(effect.name, None)
    if client is None:
        raise ClientError(f"no client {effect.name!r} runs")
    actor.spawn(client.stop())
