"""A link: one WebSocket that this process has opened to a server elsewhere, from its address to its close.

The rule: what is written to a link waits within limits, leaves in order, and is known to have arrived only when the
other end has answered a ping that was sent behind it. No redirect is followed, no proxy asked, no certificate excused.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from socket import SOCK_STREAM
from typing import Any, NamedTuple

from django.utils import timezone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from realtime_project import private
from realtime_project.feeds import Content, Event, size_of
from realtime_project.logs import escaped
from realtime_project.publishing import checked

from .addresses import Allowed, Forbidden, Target

OPENING = 10.0  # seconds for an address, and for all of the handshake
CLOSING = 2.0  # seconds for the other end to answer a close
FAREWELL = 2.0  # seconds for what waits to go out before a close that is wanted
PING = 20.0  # seconds of silence, and then seconds for the answer
STALLED = 2 * PING  # seconds in which nothing leaves, because the other end reads nothing any more
TRIED = 4  # addresses of one name
AGENT = "Harbour"
LOST, DONE, GOING = 1006, 1000, 1001  # close codes; the first is never on the wire
SAID = 200  # characters of what the other end says that are kept
AGAIN = {408, 425, 429}  # statuses below 500 by which a server says that it is not the request's fault

logger = logging.getLogger(__name__)
quiet = logging.getLogger("actors.links.wire")  # the library's own words have headers in them, and so secrets
quiet.setLevel(logging.CRITICAL)


class Sent(NamedTuple):
    """What waits to leave."""

    content: Content
    size: int  # bytes
    on_arrival: (
        Callable[[], None] | None
    )  # called when the other end is known to have it; None: it counts as lost if not


class Waiting:
    """What waits to be sent, within limits."""

    def __init__(self, most: int, most_bytes: int, most_size: int) -> None:
        """At most so many messages, bytes of them together (tested before one is added), and bytes of one."""
        self.most, self.most_bytes, self.most_size = most, most_bytes, most_size
        self.bytes = 0
        self._items: deque[Sent] = deque()
        self.changed = asyncio.Event()  # something came or went

    def __len__(self) -> int:
        return len(self._items)

    @property
    def has_room(self) -> bool:
        return len(self._items) < self.most and self.bytes < self.most_bytes

    def put(self, content: Content, on_arrival: Callable[[], None] | None = None) -> bool:
        """False where it is too large, or too much waits already."""
        size = size_of(content)
        if size > self.most_size or not self.has_room:
            return False
        self._items.append(Sent(content, size, on_arrival))
        self.bytes += size
        self.changed.set()
        return True

    def take(self) -> Sent:
        item = self._items.popleft()
        self.bytes -= item.size
        self.changed.set()
        return item

    def discard(self, unwanted: Callable[[Sent], bool]) -> int:
        """Leave some out: how many."""
        before = len(self._items)
        self._items = deque(item for item in self._items if not unwanted(item))
        self.bytes = sum(item.size for item in self._items)
        self.changed.set()
        return before - len(self._items)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class Counts:
    """What passed, and what did not."""

    NAMES = ("messages_in", "messages_out", "bytes_in", "bytes_out", "dropped", "unconfirmed", "gaps", "reconnects")

    def __init__(self, **known: int) -> None:
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.dropped = 0  # never sent: too large, or no room
        self.unconfirmed = 0  # sent, and perhaps lost: the connection broke before the other end confirmed it
        self.gaps = 0  # stretches of these
        self.reconnects = 0
        vars(self).update(known)

    def values(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.NAMES}


class Link:
    """An open connection. To an actor it is what a client's connection is: id, endpoint, write, drain, close_soon."""

    server_id = private.SERVER

    def __init__(self, socket: ClientConnection, target: Target, waiting: Waiting, counts: Counts) -> None:
        self.id = uuid.uuid4().hex
        self.endpoint = target.shown
        self.connected_at: datetime = timezone.now()
        self.closed = False
        self.waiting, self.counts = waiting, counts
        self.receiver: Callable[[Content], None] | None = None  # takes what is published to its topic_in
        self._socket = socket
        self._farewell: tuple[int, str] | None = None
        self._flying: list[Sent] = []  # sent since the last ping
        self._pinged: list[Sent] = []  # ... and before it
        self._sender = asyncio.create_task(self._send())

    @property
    def address(self) -> str:
        """Of the other end."""
        return str(self._socket.remote_address[0]) if self._socket.remote_address else ""

    @property
    def subprotocol(self) -> str | None:
        return self._socket.subprotocol

    @property
    def code(self) -> int:
        """The close code; 1006 where there was none."""
        return self._socket.close_code or LOST

    @property
    def reason(self) -> str:
        return escaped(self._socket.close_reason or "")[:SAID]

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        protocol = self._socket.protocol
        if protocol.close_rcvd is None and protocol.close_sent is not None:  # as for a message that is too large
            return escaped(f"we closed with {protocol.close_sent.code} {protocol.close_sent.reason}").strip()[:SAID]
        return f"closed with {self.code} {self.reason}".strip() if protocol.close_rcvd else "the connection broke"

    # sending --------------------------------------------------------------------------------------------------
    def write(self, events: Sequence[Event]) -> None:
        """Send, soon. Never waits; what there is no room for is dropped and counted."""
        for event in events:
            if self.closed or not self.waiting.put(event.content):
                self.counts.dropped += 1

    def send_text(self, text: str) -> None:
        self.write((Event(checked(text)),))

    async def drain(self) -> None:
        """Return when half of what may wait is free."""
        await self.waiting.wait_for(lambda: self.closed or len(self.waiting) <= self.waiting.most // 2)

    def take(self, contents: Sequence[Content]) -> None:
        """What was published to its topic_in."""
        if self.receiver and not self.closed:
            for content in contents:
                self.receiver(content)

    async def _send(self) -> None:
        """The only sender. Ends with the connection, or with the close that was wanted."""
        waiting, socket, counts = self.waiting, self._socket, self.counts
        try:
            while True:
                await waiting.wait_for(lambda: bool(waiting) or self._has_to_ask or self._farewell is not None)
                if waiting:
                    item = waiting.take()
                    self._flying.append(item)
                    counts.messages_out += 1  # also if the connection breaks now: it is among the unconfirmed then
                    counts.bytes_out += item.size
                    await socket.send(item.content)
                elif self._farewell:
                    await self._close(*self._farewell)
                    if socket.protocol.close_rcvd and not socket.protocol.close_rcvd_then_sent:
                        self._have_arrived((*self._pinged, *self._flying))  # the answer to a close stands behind all
                        self._pinged, self._flying = [], []
                    return
                if self._has_to_ask:
                    self._pinged, self._flying = self._flying, []
                    answer: asyncio.Future[float] = await socket.ping()  # type: ignore[assignment]  # which it is
                    answer.add_done_callback(self._answered)
        except ConnectionClosed:
            pass
        except Exception:
            logger.exception("connection %s cannot be sent to", self.id)
            socket.transport.abort()
        finally:
            self.closed = True
            waiting.changed.set()

    @property
    def _has_to_ask(self) -> bool:
        """One ping at a time goes behind what was sent: its answer says that all of this has arrived."""
        return bool(self._flying) and not self._pinged

    def _answered(self, answer: asyncio.Future[float]) -> None:
        if not answer.cancelled() and not answer.exception():
            arrived, self._pinged = self._pinged, []
            self._have_arrived(arrived)
            self.waiting.changed.set()

    def _have_arrived(self, items: Sequence[Sent]) -> None:
        for item in items:
            if item.on_arrival:
                item.on_arrival()

    @property
    def unconfirmed(self) -> int:
        """Messages that were sent, that nobody will send again, and of whose arrival nothing is known."""
        return sum(item.on_arrival is None for item in (*self._pinged, *self._flying))

    # receiving ------------------------------------------------------------------------------------------------
    async def messages(self) -> AsyncIterator[Content]:
        """What comes, until the end of the connection, however it comes."""
        try:
            while True:
                content = await self._socket.recv()
                self.counts.messages_in += 1
                self.counts.bytes_in += size_of(content)
                yield content
        except ConnectionClosed:
            return

    # closing --------------------------------------------------------------------------------------------------
    def close_soon(self, code: int = DONE, reason: str = "") -> None:
        """Close after what was written; nothing can be written any more."""
        if not self.closed:
            self.closed = True
            self._farewell = code, reason
            self.waiting.changed.set()

    async def end(self, code: int = GOING, reason: str = "") -> None:
        """Close, unless it is closed, and leave no task behind. Nothing more of what waits is sent."""
        self.closed = True
        try:
            await self._close(code, reason)
        finally:
            self._sender.cancel()
            self._socket.transport.abort()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _close(self, code: int, reason: str) -> None:
        """Within CLOSING, also where the other end does not even read it."""
        try:
            async with asyncio.timeout(CLOSING):
                await self._socket.close(code, reason)
        except TimeoutError:
            self._socket.transport.abort()

    async def sent(self) -> None:
        """Return when the sender has ended, which close_soon() asks of it, or after FAREWELL."""
        await asyncio.wait([self._sender], timeout=FAREWELL)


# opening --------------------------------------------------------------------------------------------------------
class _Impatient(ClientConnection):
    """One that is lost when the other end reads nothing any more.

    The library waits without limit for that, in all that it sends: messages, a close, and its own keepalive's pings.
    A failure here ends the connection, as any failure to write does.
    """

    async def drain(self) -> None:
        while True:
            before = self.transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(STALLED):
                    return await super().drain()
            except TimeoutError:
                if self.transport.get_write_buffer_size() >= before:  # less: it is large, or the way is slow
                    raise


class _Straight(connect):
    """One attempt at one address: where the server sends us elsewhere, we do not go."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def addresses_of(host: str, port: int) -> list[str]:
    """What a name leads to now, or the address that it is, in whichever way that is written."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return [str(address[4][0]) for address in found]


@cache
def system_trust() -> ssl.SSLContext:
    """The authorities of this system, or of SSL_CERT_FILE."""
    return ssl.create_default_context()


async def open_socket(
    target: Target,
    allowed: Allowed,
    *,
    headers: Mapping[str, str],
    subprotocols: Sequence[str],
    trust: ssl.SSLContext | None,
    max_size: int,
) -> ClientConnection:
    """Resolve once, judge, connect to what was judged. Raises Forbidden, OSError, TimeoutError or InvalidHandshake."""
    async with asyncio.timeout(OPENING):
        addresses = allowed.judge(target.host, await addresses_of(target.host, target.port))
    secure: dict[str, Any] = {}
    if target.uri.secure:  # the certificate has to be the name's, whatever the address
        secure = {"ssl": trust or system_trust(), "server_hostname": target.host}
    for address in addresses[:TRIED]:
        try:
            return await _Straight(
                target.url,
                host=address,
                port=target.port,
                proxy=None,
                compression=None,
                additional_headers=dict(headers),
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                user_agent_header=AGENT,
                open_timeout=OPENING,
                close_timeout=CLOSING,
                ping_interval=PING,
                ping_timeout=PING,
                max_size=max_size,
                create_connection=_Impatient,
                logger=quiet,
                **secure,
            )
        except ssl.SSLCertVerificationError:
            raise
        except OSError as error:  # timeouts are among them
            failure = error
    raise failure


def is_refusal(error: Exception) -> bool:
    """Whether trying again soon makes no sense: somebody has to change something first."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code < 500 and error.response.status_code not in AGAIN
    if isinstance(error, InvalidMessage):  # it hung up in the middle, as servers do that end
        return False
    return isinstance(error, Forbidden | ssl.SSLCertVerificationError | InvalidHandshake)


def explained(error: Exception) -> str:
    """What went wrong, in words without the URL."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        more = ": it sends us elsewhere, where we do not go" if 300 <= status < 400 else ""
        return f"the server refused the handshake with HTTP {status}{more}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate cannot be trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {OPENING:.0f} s"
    if isinstance(error, InvalidMessage):
        return "the server hung up during the handshake"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return escaped(text)[:SAID] or type(error).__name__
