"""Orders to a server: close, stop, look who is still logged in, show what passes, drain.

The rule: an order is an event of the server's own durable topic, so it arrives from any process and without the
channel layer too, by the sweep. It takes part in the caller's transaction. A server's id is new with each start: no
server is given what was meant for another, and the logs of those that have gone are dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction

from . import bans, database, history, private, registry, revocation, tails
from .crowd import Crowd
from .feeds import Event
from .frames import legal_close_code
from .hub import spawn
from .models import Connection as ConnectionRow
from .models import Server
from .topics import Topic, hub

logger = logging.getLogger(__name__)

CLOSED = 4410  # close code: closed by staff
REASON = "closed by staff"
REASON_SIZE = 123  # bytes that a close frame has room for
PREFIX = "control:"  # and a server's id
KEPT = timedelta(hours=1)  # an order that nobody has carried out by then is no longer meant
ASKED = 5_000  # connections a query
TIDYING = 600.0  # seconds between two looks for logs that nobody needs


ANNOUNCED = 500  # characters of an announcement

# Texts for everybody who is connected. Each app tells its own clients, in its own way.
announcements = Topic("announcements", history=True)


class UnknownConnection(LookupError):
    """No open connection has this id."""


class Close(msgspec.Struct, tag="close", frozen=True):
    """Close these connections: by id, by user or by session, whichever is given."""

    code: int
    reason: str
    connection: str | None = None
    user: str | None = None  # the primary key, as text
    session: str | None = None  # a digest of the key, which would let its reader in


class Stop(msgspec.Struct, tag="stop", frozen=True):
    """Stop the actor of this connection for good."""

    connection: str


class Look(msgspec.Struct, tag="look", frozen=True):
    """See at once whether these people and sessions are still let in."""

    user: str | None = None
    session: str | None = None


class Tail(msgspec.Struct, tag="tail", frozen=True):
    """Show the frames of a connection to a watcher, by the watcher's private topic; 0 seconds: no longer."""

    connection: str
    to: str
    seconds: float
    by: str = ""  # whose look it is, for the log


class Drain(msgspec.Struct, tag="drain", frozen=True):
    """Leave politely."""


Order = Close | Stop | Look | Tail | Drain
_decode = msgspec.json.Decoder(Order).decode


# giving orders, from any thread or process ----------------------------------------------------------------------
def close(connection: str | tuple[str, int], code: int = CLOSED, reason: str = REASON) -> None:
    """Close one connection, given by its id or by (server, channel_id).

    Raises UnknownConnection, registry.UnknownServer, or ValueError for what no close frame can carry. A connection is
    known from a second after it was opened.
    """
    _check(code, reason)
    live = ConnectionRow.objects.filter(server__in=registry.servers())
    if isinstance(connection, str):
        row = live.filter(pk=connection).first()
    else:
        server, number = connection
        row = registry.clients(server).filter(channel_id=number).first()
    if row is None:
        raise UnknownConnection(f"no open connection has the id {connection!r}")
    order([row.server_id], Close(code, reason, connection=row.pk))


def close_all(connections: Iterable[str], code: int = CLOSED, reason: str = REASON) -> list[str]:
    """Close these connections, by their ids. Those that were open; the others have gone already."""
    _check(code, reason)
    live = ConnectionRow.objects.filter(server__in=registry.servers())
    rows = [row for some in database.parts(connections, ASKED) for row in live.filter(pk__in=some)]
    _order_all((row.server_id, Close(code, reason, connection=row.pk)) for row in rows)
    return [row.pk for row in rows]


def close_user(user: Any, code: int = CLOSED, reason: str = REASON) -> None:
    """Close all connections of a user, or of a primary key, on every server."""
    _check(code, reason)
    order(_servers(), Close(code, reason, user=_key(user)))


def close_session(key: str, code: int = CLOSED, reason: str = REASON) -> None:
    """Close all connections that came with a session, on every server."""
    _check(code, reason)
    order(_servers(), Close(code, reason, session=_digest(key)))


def stop(connection: str) -> bool:
    """Stop the actor of a connection for good: its disconnect rule runs once, nothing of it stays stored, and its
    client is closed with 1000. False where there is no such actor, because it has stopped or has left: no mistake.
    """
    return bool(stop_all([connection]))


def stop_all(connections: Iterable[str]) -> list[str]:
    """Stop the actors of these connections, by their ids. Those that were there; the others have stopped already."""
    found = registry.actors()
    rows = [row for some in database.parts(connections, ASKED) for row in found.filter(pk__in=some)]
    _order_all((row.server_id, Stop(row.pk)) for row in rows)
    return [row.pk for row in rows]


def look(user: Any = None, session: str | None = None) -> None:
    """Have every server see at once whether a user, or who came with a session, is still let in."""
    order(_servers(), Look(None if user is None else _key(user), session and _digest(session)))


def tail(connection: Any, to: str, seconds: float, by: str = "") -> None:
    """Show what passes on a connection, given by its row, to the private topic `to`. See tails.py.

    by: whose look it is, for the server's log.
    """
    order([connection.server_id], Tail(connection.pk, to, seconds, by))


def announce(text: str) -> None:
    """Tell everybody who is connected to any server. Raises ValueError for an empty or long text."""
    if not 0 < len(text.strip()) <= ANNOUNCED:
        raise ValueError(f"an announcement has 1 to {ANNOUNCED} characters")
    announcements.publish_sync(text.strip())


def drain(server: str) -> None:
    """Have a server leave as it does on SIGTERM. Raises registry.UnknownServer."""
    registry.endpoints(server)
    order([server], Drain())


def drain_all(servers: Iterable[str]) -> list[str]:
    """Have these servers leave, by their ids. Those that were alive; the others have gone already."""
    alive = list(registry.servers().filter(pk__in=servers).values_list("pk", flat=True))
    order(alive, Drain())
    return alive


def order(servers: Iterable[str], order: Order) -> None:
    """Give an order to these servers, by their ids. To one that is no more it is lost."""
    _order_all((server, order) for server in servers)


def _order_all(orders: Iterable[tuple[str, Order]]) -> None:
    if items := [(PREFIX + server, msgspec.json.encode(order).decode()) for server, order in orders]:
        with transaction.atomic():
            history.publish(items)


def _servers() -> list[str]:
    return list(registry.servers().values_list("pk", flat=True))


def _key(user: Any) -> str:
    key = getattr(user, "pk", user)
    if key is None:
        raise ValueError(f"{user!r} has no primary key: nobody in particular is meant")
    return str(key)


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()


def _check(code: int, reason: str) -> None:
    if not legal_close_code(code):
        raise ValueError(f"{code!r} is no close code: 1000 to 1014 (not 1004 to 1006) or 3000 to 4999")
    if len(reason.encode()) > REASON_SIZE:
        raise ValueError(f"a reason has at most {REASON_SIZE} bytes, not {len(reason.encode())}")


# carrying them out ----------------------------------------------------------------------------------------------
class Orders:
    """The orders to this server: a reader of its control topic."""

    def __init__(self, server: str, drain: Callable[[], None] | None) -> None:
        self.server, self._drain = server, drain
        self.heard = False  # subscribed: from now on orders arrive
        self._tasks = {asyncio.create_task(self._listen()), asyncio.create_task(self._tidy())}

    async def _listen(self) -> None:
        # From 0: the topic is as new as this server, so nothing that was meant for it is missed.
        subscription = await hub().subscribe(PREFIX + self.server, self, durable=True, since=0)
        subscription.start()
        self.heard = True

    def write(self, events: Sequence[Event]) -> None:
        looks: list[Look] = []
        for event in events:
            try:
                order = _decode(event.content)
            except msgspec.DecodeError as error:  # of another version of this program
                logger.error("an order cannot be read: %s", error)
                continue
            if isinstance(order, Look):
                looks.append(order)
                continue
            if isinstance(order, Tail):
                if watched := private.clients.get(order.connection):
                    tails.show(watched, order.to, order.seconds, order.by)
                continue
            logger.info("ordered: %r", order)
            if isinstance(order, Close):
                spawn(_close(order), self._tasks)
            elif isinstance(order, Stop):
                meant = registry.registry.connections.get(order.connection)
                if meant and meant.actor:
                    meant.actor.end()
            elif self._drain:
                self._drain()
            else:
                logger.error("this server cannot drain: it is not ours. Send it SIGTERM.")
        if looks:
            spawn(_look(looks), self._tasks)

    async def drain(self) -> None:
        """Nothing that was written waits."""

    async def _tidy(self) -> None:
        while True:
            try:
                await database.run(tidy)
            except Exception as error:
                logger.warning("old orders cannot be dropped: %r", error)
            await asyncio.sleep(TIDYING)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _meant(order: Close | Look) -> list[registry.Connection]:
    """The connections of this process that an order is about. The loop turns in between: there may be thousands."""
    if isinstance(order, Close) and order.connection is not None:
        one = registry.registry.connections.get(order.connection)
        return [one] if one else []
    return [connection async for connection in registry.registry.crowd if _is_about(order, connection)]


def _is_about(order: Close | Look, connection: registry.Connection) -> bool:
    if order.user is not None:
        user = getattr(connection.user, "pk", None)
        return user is not None and str(user) == order.user
    proof = connection.proof
    return order.session is not None and proof is not None and _digest(proof.session) == order.session


async def _close(order: Close) -> None:
    for connection in await _meant(order):
        connection.close_soon(order.code, order.reason)


async def _look(looks: Sequence[Look]) -> None:
    try:
        await revocation.look(Crowd([connection for look in set(looks) for connection in await _meant(look)]))
    except Exception as error:  # what looks again and again finds it in four seconds
        logger.warning("cannot see who is still logged in: %r", error)


def tidy() -> None:
    """Drop what was ordered long ago, the logs of servers that have gone, and bans that ended long ago."""
    bans.tidy()
    alive = [PREFIX + server for server in Server.objects.values_list("pk", flat=True)]
    history.forget(PREFIX, KEPT, alive)
