"""Who is online in each room: at most one frame a room and second, to those who are subscribed to it here.

The rule: what arrives on the topic `presence` only says about whom to ask; what is told is what the database then says.
Every process tells its own subscribers, so that nothing is told twice. Who is online in a room is a member of it.

What the layer lost is found within HEAL, when the rooms that somebody looks at are asked about anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple, Protocol

import msgspec

from realtime_project import database, registry
from realtime_project.feeds import Event, Run, Subscription
from realtime_project.topics import hub

from . import protocol
from .models import Membership

logger = logging.getLogger(__name__)

PACE = 1.0  # seconds between two frames of a room
HEAL = 10.0  # seconds after which what was never heard of is found
NAMED = 50  # people that came, and that went, in one frame
ASKED = 1_000  # rooms, or users, a query
MANY = 20_000  # users to ask about; beyond, every room is asked about instead
CHUNK = 512  # subscribers written to before the loop may do something else

People = dict[int, str]  # id → name


class Connection(Protocol):
    def write(self, events: Sequence[Event]) -> None: ...


class Watch:
    """A subscriber's view of a room. Nothing is written before start() or after close()."""

    def __init__(self, presence: Presence, room: Room, user: int, connection: Connection) -> None:
        self.presence, self.room, self.user, self.connection = presence, room, user, connection
        self.open = False

    def start(self) -> None:
        """Tell who is online now, as soon as that is known, and from then on who comes and goes."""
        self.open = True
        self.room = self.presence.enter(self)

    def close(self) -> None:
        if self.open:
            self.open = False
            self.presence.leave(self)


class Room:
    """What the subscribers of a room have been told. `people` is None until the database has been asked."""

    def __init__(self, id: int, slug: str, is_private: bool) -> None:
        self.id, self.slug, self.is_private = id, slug, is_private
        self.people: People | None = None
        self.watches: set[Watch] = set()


class Change(NamedTuple):
    room: Room
    people: People  # afterwards
    frame: Run


class Presence:
    """This process's rooms that somebody looks at, and the one task that asks about them."""

    here: Presence | None = None

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rooms: dict[int, Room] = {}
        self._users: set[int] = set()  # about whom to ask
        self._heal_at = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # those who look -------------------------------------------------------------------------------------------
    def watch(self, room: int, slug: str, is_private: bool, user: int, connection: Connection) -> Watch:
        """A view of a room for `user`, who may see it."""
        return Watch(self, Room(room, slug, is_private), user, connection)

    def enter(self, watch: Watch) -> Room:
        room = self.rooms.setdefault(watch.room.id, watch.room)
        room.watches.add(watch)
        if room.people is None:
            self._wake.set()
        else:
            watch.connection.write(_frame(room, room.people, None))
        if self._task is None:
            self._task = self.loop.create_task(self._run(), context=Context())  # no connection's
        return room

    def leave(self, watch: Watch) -> None:
        watch.room.watches.discard(watch)
        if not watch.room.watches:
            del self.rooms[watch.room.id]
            self._wake.set()

    # whom to ask about ----------------------------------------------------------------------------------------
    def ask(self, *users: int) -> None:
        """Something may have changed for these users: their connections, or their rooms."""
        self._users.update(users)
        if len(self._users) > MANY:
            self._users.clear()
            self._heal_at = 0.0
        self._wake.set()

    def write(self, events: Sequence[Event]) -> None:
        """What the registry of some server published."""
        for event in events:
            moves = msgspec.json.decode(event.content)
            self.ask(*moves["came"], *moves["went"])

    async def drain(self) -> None:
        """Nothing waits: see feeds.Reader."""

    # the one task ---------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        news: Subscription | None = None
        try:
            while self.rooms:
                self._wake.clear()
                try:
                    if news is None or not news.open:
                        news = await hub().subscribe(registry.presence.name, self)
                        news.start()
                    await self._look()
                except Exception as error:
                    logger.warning("who is online cannot be told: %r", error)
                    self._wake.set()
                await asyncio.sleep(PACE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._heal_at - self.loop.time())):
                        await self._wake.wait()
        finally:
            self._task = None
            if news:
                news.close()

    async def _look(self) -> None:
        """Ask about what may have changed, and tell what has."""
        due = self.loop.time() >= self._heal_at
        users, self._users = self._users, set()
        whole = [room for room in self.rooms.values() if due or room.people is None]
        known = [] if due else [room for room in self.rooms.values() if room.people is not None]
        try:
            found = await database.run(_online, [room.id for room in whole], users if known else ())
            changes = [_change(room, found.get(room.id, {})) for room in whole]
            for room in known:
                before, now = room.people or {}, found.get(room.id, {})
                if now or not users.isdisjoint(before):
                    changes.append(_change(room, {id: before[id] for id in before.keys() - users} | now))
            changed = [change for change in changes if change]
            outsiders = await self._outsiders(change.room for change in changed)
        except BaseException:
            self._users |= users
            raise
        if due:
            self._heal_at = self.loop.time() + HEAL
        for change in changed:
            await self._tell(change, outsiders)

    async def _outsiders(self, rooms: Iterable[Room]) -> set[tuple[int, int]]:
        """Whoever looks at a private room and is no longer a member, whatever the room's log has told them yet."""
        asked = {(room.id, watch.user) for room in rooms if room.is_private for watch in room.watches}
        return asked - await database.run(_members, {room for room, _ in asked}) if asked else set()

    async def _tell(self, change: Change, outsiders: set[tuple[int, int]]) -> None:
        """What a watch that is opened meanwhile is told at its start is this already."""
        room = change.room
        room.people = change.people
        for count, watch in enumerate(list(room.watches), 1):
            if watch.open and (room.id, watch.user) not in outsiders:
                watch.connection.write(change.frame)
            if count % CHUNK == 0:
                await asyncio.sleep(0)


def presence() -> Presence:
    """This process's presence, for the running loop; another loop replaces it."""
    loop = asyncio.get_running_loop()
    if Presence.here is None or Presence.here.loop is not loop:
        Presence.here = Presence()
    return Presence.here


def _change(room: Room, people: People) -> Change | None:
    if room.people is None or room.people.keys() != people.keys():
        return Change(room, people, _frame(room, people, room.people))
    return None


def _frame(room: Room, people: People, before: People | None) -> Run:
    """What to tell those who know of `before`, or of nothing."""
    came = _named(people, people.keys() - (before or {}).keys())
    went = _named(before or {}, (before or {}).keys() - people.keys())
    more = len(came) > NAMED or len(went) > NAMED
    text = protocol.presence(room.slug, len(people), came[:NAMED], went[:NAMED], all=before is None, more=more)
    return Run([Event(text)])


def _named(people: People, ids: Iterable[int]) -> list[dict[str, Any]]:
    return [{"id": id, "name": people[id]} for id in sorted(ids)[: NAMED + 1]]


def _online(rooms: Sequence[int], users: Iterable[int]) -> dict[int, People]:
    """Room → its members who are online: all in `rooms`, and in every room those among `users`."""
    online = Membership.objects.filter(user__in=registry.online())
    queries = [online.filter(room__in=some) for some in database.parts(rooms, ASKED)]
    queries += [online.filter(user__in=some) for some in database.parts(users, ASKED)]
    found: dict[int, People] = {}
    for query in queries:
        for room, user, name in query.values_list("room_id", "user_id", "user__name"):
            found.setdefault(room, {})[user] = name
    return found


def _members(rooms: Iterable[int]) -> set[tuple[int, int]]:
    return set(Membership.objects.filter(room__in=rooms).values_list("room_id", "user_id"))
