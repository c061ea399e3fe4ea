"""Who is connected, in the database. One writer a process (register, heartbeat, reap), and the queries.

The rule: only this file writes Server and Connection. Rows are written in batches, once a second; a server lives as
long as it renews its lease, on the database's clock, so one that was killed disappears by itself, and its
connections with it.

A user comes with the first of their connections in all servers, and goes with the last. That is decided in the
transaction that writes the rows, under a lock of the user, and then told on the topic `presence`. Locks are taken in
one order: servers, users, connections.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple, Protocol

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from . import __version__, database, private, revocation
from .crowd import Crowd
from .feeds import Event
from .hub import LIMIT
from .models import Connection as ConnectionRow
from .models import Server
from .texts import storable
from .topics import PublishError, Topic

logger = logging.getLogger(__name__)

BEAT = 1.0  # seconds between two batches
COUNTERS = 5  # beats in which every connection is looked at: with each beat a fifth of them, so that no beat is long
FEW = 16  # rows made before the loop may turn
STATE = 1000  # characters of an actor's state
COUNTED = ["messages_in", "messages_out", "bytes_in", "bytes_out"]
CHANGING = [*COUNTED, "unsent", "rate_in", "rate_out", "state", "session", "last_message_at"]
ASKED = 5_000  # users a query
TOLD = 1_000  # users a message on `presence`
UNTOLD = 50_000  # users whose news wait for the layer, and connections that went unwritten; beyond, see there

# {"came": [user ids], "went": [user ids]}. Those of several servers may arrive in another order than they happened, or
# not at all: they say whom to ask about with is_online().
presence = Topic("presence")

Moves = dict[Any, bool]  # user id → whether they came, or went
Endpoint = dict[str, Any]
Change = tuple[Any, ...]  # the values of CHANGING, and the id


class UnknownServer(LookupError):
    """No live server has this id."""


class Connection(revocation.Connection, Protocol):
    """What is kept of an open connection."""

    id: str
    channel_id: int
    endpoint: str
    path: str
    mode: str
    client_ip: str
    client_port: int | None
    origin: str | None
    user: Any
    subprotocol: str | None
    connected_at: datetime
    messages_in: int
    bytes_in: int
    actor: Actor | None

    @property
    def messages_out(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def unsent(self) -> int: ...

    def write(self, events: Sequence[Event]) -> None: ...


class Actor(Protocol):
    """What is kept of a connection's actor. Its state is a value: another state is another object."""

    last_message_at: float  # seconds since 1970

    @property
    def state(self) -> Any: ...
    @property
    def session(self) -> str | None: ...

    def end(self) -> None: ...


# queries --------------------------------------------------------------------------------------------------------
def servers() -> QuerySet[Server]:
    """The servers that are alive, oldest first."""
    alive = Server.objects.filter(seen_at__gt=_lease_begins())
    return alive.defer("history", "topics").order_by("started_at", "id")


def endpoints(server: str) -> list[Endpoint]:
    """Every WebSocket endpoint of a server, with its limits: see routing.described. Raises UnknownServer."""
    found: list[Endpoint] = _server(server).endpoints
    return found


def clients(server: str, path: str | None = None) -> QuerySet[ConnectionRow]:
    """The open connections of a server, of one endpoint or concrete path if given. Raises UnknownServer."""
    rows = _server(server).connections.select_related("user").order_by("channel_id")
    return rows.filter(Q(endpoint=path) | Q(path=path)) if path is not None else rows


def actors() -> QuerySet[ConnectionRow]:
    """The connections that have an actor, on all live servers. Each row shows its state, at most five seconds old."""
    return ConnectionRow.objects.filter(server__in=servers(), state__isnull=False).order_by("connected_at", "id")


def online() -> QuerySet[ConnectionRow, Any]:
    """The ids of all users who are connected, for use in a query of users."""
    return ConnectionRow.objects.exclude(user=None).values("user")


def is_online(users: Iterable[Any]) -> set[Any]:
    """Those of these user ids who are connected, to any server."""
    found: set[Any] = set()
    for some in database.parts(users, ASKED):
        found.update(ConnectionRow.objects.filter(user__in=some).values_list("user", flat=True))
    return found


def _server(server: str) -> Server:
    try:
        return servers().get(pk=server)
    except Server.DoesNotExist:
        alive = ", ".join(servers().values_list("pk", flat=True)) or "none"
        raise UnknownServer(f"no live server has the id {server!r}; alive: {alive}") from None


def _lease_begins() -> Any:
    return Now() - timedelta(seconds=settings.SERVER_LEASE)


# the writer -----------------------------------------------------------------------------------------------------
class Written(NamedTuple):
    """What a connection's row holds."""

    at: float  # when it was looked at: seconds, monotonic
    state: Any  # of its actor
    messages_in: int
    messages_out: int
    unsent: int
    rate_in: float
    rate_out: float


NUMBERS = Written._fields.index("messages_in")  # the first of those that are compared


async def _nothing_to_report() -> dict[str, Any]:
    return {}


class Registry:
    """This process's row, and the rows of its connections."""

    def __init__(self) -> None:
        self.server_id = private.SERVER
        self.connections: dict[str, Connection] = {}  # open now
        self.crowd: Crowd[Connection] = Crowd()  # the same
        self.endpoints: Counter[str] = Counter()  # how many are connected to each
        self._came: dict[str, Connection] = {}  # since the last batch
        self._went: dict[str, Any] = {}  # ids, and of whom, since the last batch; one more than UNTOLD at most
        self._report: Callable[[], Awaitable[dict[str, Any]]] = _nothing_to_report
        self._row: Server | None = None  # None until the first request says where this process listens
        self._written: dict[str, Written] = {}  # by id
        self._writing = asyncio.Lock()
        self._untold: Moves = {}
        self._telling: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(
        self,
        address: Sequence[Any] | None,
        endpoints: list[Endpoint],
        report: Callable[[], Awaitable[dict[str, Any]]] = _nothing_to_report,
    ) -> bool:
        """Enter this process and begin to beat. False where that was done before, for the same event loop.

        report: asked with every beat for columns of this process's row that change.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return False
        self._loop, self._report = loop, report
        host, port = (address or ("", None))[:2]
        self._row = Server(
            id=self.server_id, host=host, port=port, pid=os.getpid(), version=__version__, endpoints=endpoints
        )
        self._tasks = [loop.create_task(self._beat()), loop.create_task(revocation.watch(self.crowd))]
        return True

    def opened(self, connection: Connection) -> None:
        self.connections[connection.id] = self._came[connection.id] = connection
        self.crowd.add(connection)
        self.endpoints[connection.endpoint] += 1

    def closed(self, connection: Connection) -> None:
        if self.connections.pop(connection.id, None) is None:
            return
        self._came.pop(connection.id, None)
        self.crowd.discard(connection)
        self.endpoints[connection.endpoint] -= 1
        if len(self._went) <= UNTOLD:
            self._went[connection.id] = _user_of(connection)

    async def leave(self) -> None:
        """This process ends: its row goes at once, and its connections' with it, instead of with the lease."""
        async with self._writing:  # a batch that is under way would enter this server again
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            self._tell(await database.run_apart(_remove, Server.objects.filter(pk=self.server_id)))
        for _ in range(2):  # what was under way, and then who went with this server
            if self._telling:
                await asyncio.wait([self._telling], timeout=LIMIT)
            self._tell({})

    async def _beat(self) -> None:
        beat, since = 0, monotonic()  # since when every beat was written
        while True:
            try:
                async with self._writing:
                    await self._write(beat)
                    # After an outage all leases have run out, also of those who are about to renew them.
                    if monotonic() - since > settings.SERVER_LEASE:
                        self._tell(await database.run_apart(_reap, settings.SERVER_LEASE))
            except Exception as error:
                since = monotonic()
                logger.warning("the registry cannot be written: %r", error)
            beat += 1
            await asyncio.sleep(BEAT)

    async def _write(self, beat: int) -> None:
        """Write what changed since the last batch. The loop turns in between, so that thousands hold nobody up."""
        came, self._came = self._came, {}
        went = dict(self._went)
        try:
            if len(went) > UNTOLD:  # not all who went are known: as if this server were new
                self._tell(await database.run_apart(_remove, Server.objects.filter(pk=self.server_id)))
            report = await self._report()
            if not await self._write_these(came, went, beat % COUNTERS, report):
                came, self._came = dict(self.connections), {}
                await self._write_these(came, went, beat % COUNTERS, report)
        except BaseException:  # with the next batch, unless they have gone by then
            self._came |= {id: client for id, client in came.items() if id in self.connections}
            raise
        for id in went:
            del self._went[id]

    async def _write_these(
        self, came: dict[str, Connection], went: dict[str, Any], which: int, report: dict[str, Any]
    ) -> bool:
        """False where this server is new, or was thought dead: it is entered, and every connection is to be written."""
        written = self._written
        now: dict[str, Written] = {}
        rows: list[ConnectionRow] = []
        changes: list[Change] = []
        for some in database.parts(came.values(), FEW):
            for client in some:
                now[client.id] = _look(client)
                rows.append(self._connection_row(client))
            await asyncio.sleep(0)
        for some in self.crowd.parts(which, COUNTERS):
            for client in some:
                if before := written.get(client.id):
                    after = _look(client, before)
                    if _has_moved(before, after):
                        now[client.id] = after
                        changes.append(_change(client, after))
                    else:
                        written[client.id] = after  # rates are counted from the last look
            await asyncio.sleep(0)
        gone = list(went)  # also those of whom it is not known whether they have been written
        users = {row.user_id for row in rows} | {*went.values()}
        assert self._row
        vars(self._row).update(report)  # should it have to be entered again
        known, moves = await database.run_apart(_save, self._row, report, rows, gone, users - {None}, changes)
        if not known:
            written.clear()
            return False
        written.update(now)
        for id in gone:
            written.pop(id, None)
        self._tell(moves)
        return True

    def _tell(self, moves: Moves) -> None:
        """Publish who came and went, without waiting. What the layer does not take is told with the next batch."""
        self._untold |= moves
        if len(self._untold) > UNTOLD:
            self._untold.clear()
        if not self._untold or self._telling:
            return
        telling, self._untold = self._untold, {}
        try:
            *_, self._telling = [presence.publish_nowait(message) for message in _messages(telling)]
        except PublishError as error:
            logger.warning("who came and went is told later: %s", error)
            self._untold = telling
        else:
            self._telling.add_done_callback(lambda sent: self._told(telling, sent))

    def _told(self, moves: Moves, sent: asyncio.Future[None]) -> None:
        self._telling = None
        if sent.cancelled() or sent.exception():
            self._untold = moves | self._untold

    def _connection_row(self, connection: Connection) -> ConnectionRow:
        return ConnectionRow(
            id=connection.id,
            server_id=self.server_id,
            channel_id=connection.channel_id,
            endpoint=connection.endpoint[:255],
            path=storable(connection.path, 2048),
            mode=connection.mode,
            client_ip=storable(connection.client_ip, 45),
            client_port=connection.client_port,
            origin=connection.origin and storable(connection.origin, 255),
            user_id=_user_of(connection),
            subprotocol=connection.subprotocol and storable(connection.subprotocol, 255),
            connected_at=connection.connected_at,
            **_actor_columns(connection.actor),
            **{name: getattr(connection, name) for name in (*COUNTED, "unsent")},
        )


def _actor_columns(actor: Actor | None) -> dict[str, Any]:
    if actor is None:
        return {}
    try:
        state = repr(actor.state)
    except Exception as error:  # somebody else's code
        state = f"<{type(actor.state).__name__}, whose repr raised {type(error).__name__}>"
    last = datetime.fromtimestamp(actor.last_message_at, UTC)
    return {"state": storable(state, STATE), "session": actor.session, "last_message_at": last}


def _user_of(connection: Connection) -> Any:
    return getattr(connection.user, "pk", None)


def _look(connection: Connection, before: Written | None = None) -> Written:
    """What its row should hold now."""
    at, came, went = monotonic(), connection.messages_in, connection.messages_out
    rate_in = rate_out = 0.0
    if before:
        passed = max(at - before.at, 0.001)
        rate_in, rate_out = (
            round((count - counted) / passed, 1)
            for count, counted in ((came, before.messages_in), (went, before.messages_out))
        )
    state = connection.actor and connection.actor.state
    return Written(at, state, came, went, connection.unsent, rate_in, rate_out)


def _has_moved(before: Written, now: Written) -> bool:
    return before.state is not now.state or before[NUMBERS:] != now[NUMBERS:]


def _change(connection: Connection, now: Written) -> Change:
    counted = [getattr(connection, name) for name in COUNTED]
    actor = _actor_columns(connection.actor)
    of_actor = (actor.get(name) for name in ("state", "session", "last_message_at"))
    return (*counted, now.unsent, now.rate_in, now.rate_out, *of_actor, connection.id)


def _messages(moves: Moves) -> Iterator[str]:
    for some in database.parts(moves.items(), TOLD):
        came, went = ([user for user, has_come in some if has_come is kind] for kind in (True, False))
        yield msgspec.json.encode({"came": came, "went": went}).decode()


def _save(
    server: Server,
    report: dict[str, Any],
    rows: list[ConnectionRow],
    gone: list[str],
    users: set[Any],
    changes: Sequence[Change] = (),
) -> tuple[bool, Moves]:
    """One batch, and which of `users` moved. False if this server had no row: it has one now, and nothing else has.

    users: those of the rows that are new or gone.
    """
    mine = Server.objects.filter(pk=server.pk)
    known = bool(mine.update(seen_at=Now(), **report))  # by itself: no row may cost the lease
    if not known:
        server.seen_at = Now()  # not when it was first entered
        server.save(force_insert=True)
        return False, {}
    if not rows and not gone and not changes:
        return True, {}
    try:
        return True, _save_connections(server.pk, rows, gone, users, changes)
    except IntegrityError:  # somebody was deleted while connected
        people = get_user_model()._default_manager.filter(pk__in=[row.user_id for row in rows])
        left = set(people.values_list("pk", flat=True))
        for row in rows:
            row.user_id = row.user_id if row.user_id in left else None
        return True, _save_connections(server.pk, rows, gone, users, changes)


@transaction.atomic
def _save_connections(
    server: str, rows: list[ConnectionRow], gone: list[str], users: set[Any], changes: Sequence[Change] = ()
) -> Moves:
    list(Server.objects.filter(pk=server).select_for_update().values_list("pk"))  # who reaps it waits, or has done so
    _lock(users)
    before = is_online(users)
    for some in database.parts(gone, ASKED):
        ConnectionRow.objects.filter(pk__in=some).delete()
    ConnectionRow.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=CHANGING, batch_size=500
    )
    if changes:
        _update(changes)
    return _moves(before, is_online(users))


def _update(changes: Sequence[Change]) -> None:
    """One statement, prepared once: Django's bulk_update builds one as long as the list is."""
    quote, moment = connection.ops.quote_name, CHANGING.index("last_message_at")
    values = ", ".join(f"{quote(name)} = %s" for name in CHANGING)
    adapted = [
        (*change[:moment], connection.ops.adapt_datetimefield_value(change[moment]), *change[moment + 1 :])
        for change in changes
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {quote(ConnectionRow._meta.db_table)} SET {values} WHERE id = %s", adapted)


def _reap(lease: float) -> Moves:
    """Remove the servers that did not renew their lease, in seconds."""
    dead = Server.objects.filter(seen_at__lt=Now() - timedelta(seconds=lease))
    return _remove(dead) if dead.exists() else {}


@transaction.atomic
def _remove(servers: QuerySet[Server]) -> Moves:
    """Take servers out, with their connections. Of several who try at the same time one does it, and has the moves."""
    mine = servers.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    ids = list(mine.order_by("pk").values_list("pk", flat=True))
    rows = ConnectionRow.objects.filter(server__in=ids)
    users = set(rows.exclude(user=None).values_list("user", flat=True))
    _lock(users)
    before = is_online(users)
    rows.delete()
    Server.objects.filter(pk__in=ids).delete()
    return _moves(before, is_online(users))


def _lock(users: set[Any]) -> None:
    """Nobody else decides about these users until the transaction ends. (SQLite: nobody else writes at all.)"""
    rows = get_user_model()._default_manager.select_for_update(no_key=True).order_by("pk")
    for some in database.parts(sorted(users), ASKED):
        list(rows.filter(pk__in=some).values_list("pk"))


def _moves(before: set[Any], after: set[Any]) -> Moves:
    return dict.fromkeys(after - before, True) | dict.fromkeys(before - after, False)


registry = Registry()
