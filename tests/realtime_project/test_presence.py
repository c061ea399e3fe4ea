"""Who comes and who goes: with the first and the last connection in all servers, told once whatever happens."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels_redis.pubsub import RedisPubSubChannelLayer  # type: ignore[import-untyped]

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from realtime_project.feeds import group_of
from tests.helpers import Server, connect, guest, unique
from tests.layer import subscribed

SOON = 8.0  # seconds: a lease, a beat and the pace of a busy machine


class Listener:
    """Hears the topic `presence`, as every server does, and keeps what it says of these users."""

    def __init__(self, redis: Redis, users: tuple[int, ...]) -> None:
        self.users, self.mark = set(users), unique("listening")
        self.layer = RedisPubSubChannelLayer(hosts=[redis.url])
        self.came: list[int] = []
        self.went: list[int] = []

    async def listen(self) -> None:
        name = await self.layer.new_channel()
        await self.layer.group_add(group_of("presence"), name)
        await self.layer.group_add(group_of(self.mark), name)
        while True:
            for content in (await self.layer.receive(name))["events"]:
                moves = json.loads(content)
                self.came += self.users.intersection(moves["came"])
                self.went += self.users.intersection(moves["went"])

    async def hears(self, came: list[int], went: list[int]) -> None:
        """Exactly this, and nothing more in the next two batches."""
        deadline = time.monotonic() + SOON
        while (sorted(self.came), sorted(self.went)) != (came, went) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.2)
        assert (sorted(self.came), sorted(self.went)) == (came, went)
        self.came, self.went = [], []


@asynccontextmanager
async def listening(redis: Redis, *users: int) -> AsyncIterator[Listener]:
    listener = Listener(redis, users)
    task = asyncio.create_task(listener.listen())
    await subscribed([redis], listener.mark, servers=1)  # asked for by the same connection, after the topic
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.wait([task])
        await listener.layer.flush()


def person(server: Server) -> tuple[str, int]:
    """Cookie and id of a new guest."""
    name = unique("ann")
    cookie = guest(server, name)
    return cookie, server.python(f"from chat.models import User; print(User.objects.get(name={name!r}).pk)")


def online(server: Server, *users: int) -> list[int]:
    code = f"from realtime_project import registry; print(json.dumps(sorted(registry.is_online({list(users)}))))"
    found: list[int] = server.python(code)
    return found


async def test_a_user_comes_with_the_first_connection_and_goes_with_the_last(
    killable: Cluster, own_redis: Redis
) -> None:
    one, two = killable.servers
    cookie, user = person(one)
    async with listening(own_redis, user) as heard:
        async with connect(one.ws("ws/chat/"), cookie):
            await heard.hears([user], [])
            async with connect(two.ws("ws/asgi/echo/"), cookie), connect(one.ws("ws/chat/"), cookie):
                await heard.hears([], [])
                assert await asyncio.to_thread(online, two, user, user + 1) == [user]
            await heard.hears([], [])
        await heard.hears([], [user])
        assert await asyncio.to_thread(online, two, user) == []


async def test_who_is_connected_to_a_killed_server_goes_once_unless_they_are_elsewhere(
    killable: Cluster, own_redis: Redis
) -> None:
    one, two = killable.servers
    people = [await asyncio.to_thread(person, one) for _ in range(5)]
    (stays, staying), *rest = people
    doomed = [connect(two.ws("ws/chat/"), cookie) for cookie, _ in people]
    async with listening(own_redis, *(user for _, user in people)) as heard, connect(one.ws("ws/chat/"), stays):
        for connection in doomed:
            await connection.__aenter__()
        await heard.hears(sorted(user for _, user in people), [])
        two.kill()
        await heard.hears([], sorted(user for _, user in rest))
        for connection in doomed:
            await connection.__aexit__(None, None, None)
        assert await asyncio.to_thread(online, one, *(user for _, user in people)) == [staying]


async def test_who_is_connected_to_a_drained_server_goes_at_once(killable: Cluster, own_redis: Redis) -> None:
    one, two = killable.servers
    cookie, user = person(one)
    async with listening(own_redis, user) as heard, connect(two.ws("ws/chat/"), cookie) as socket:
        await heard.hears([user], [])
        stopped = asyncio.create_task(asyncio.to_thread(two.stop))
        await socket.closed()
        assert await stopped == 0
        assert await asyncio.to_thread(online, one, user) == []
        await heard.hears([], [user])


async def test_a_server_that_was_thought_dead_comes_back_with_its_users(killable: Cluster, own_redis: Redis) -> None:
    one, two = killable.servers
    cookie, user = person(one)
    async with listening(own_redis, user) as heard, connect(two.ws("ws/chat/"), cookie, ping_interval=None):
        await heard.hears([user], [])
        two.freeze()
        try:
            await heard.hears([], [user])
        finally:
            two.thaw()
        await heard.hears([user], [])


async def test_what_redis_did_not_take_is_told_when_it_is_back(
    postgres: Postgres, servers: list[Server], tmp_path: Path
) -> None:
    layer = Redis()
    layer.start()
    cluster = Cluster(tmp_path, postgres, [layer], unique("untold").replace("-", "_"), 1)
    servers.extend(cluster.servers)
    try:
        cluster.start()
        [server] = cluster.servers
        cookie, user = person(server)
        layer.kill()
        async with connect(server.ws("ws/chat/"), cookie):
            async with asyncio.timeout(SOON):  # the rows do not wait for it
                while await asyncio.to_thread(online, server, user) != [user]:
                    await asyncio.sleep(0.1)
            server.freeze()  # it tells again and again, and what nobody listens to yet is lost
            layer.start()
            async with listening(layer, user) as heard:
                server.thaw()
                await heard.hears([user], [])
    finally:
        cluster.stop()
        layer.kill()


# The decision itself --------------------------------------------------------------------------------------------

RACE = """
import threading, time, uuid
from concurrent.futures import ThreadPoolExecutor
from django.db import connection, transaction
from django.utils import timezone
from chat.models import User
from realtime_project import registry
from realtime_project.models import Connection, Server

def save(server, rows, gone, users):
    try:
        return registry._save_connections(server, rows, gone, users)
    finally:
        if not connection.in_atomic_block:
            connection.close()

def remove(server):
    try:
        return registry._remove(Server.objects.filter(pk=server))
    finally:
        if not connection.in_atomic_block:
            connection.close()

def row(server, user, number):
    return Connection(
        id=uuid.uuid4().hex, server_id=server, channel_id=number, endpoint="/", path="/", mode="chat",
        client_ip="127.0.0.1", user_id=user, connected_at=timezone.now(),
    )

ids = [uuid.uuid4().hex for _ in range(3)]
for id in ids:
    Server.objects.create(id=id, host="", pid=1, version="", seen_at=timezone.now() + timezone.timedelta(hours=1))
a, b, c = ids
user = User.objects.create_user(uuid.uuid4().hex).pk
found = []

def race(first, second):
    # `second` begins when `first` has decided, and before it commits: the answers of both
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            one = first()
            later = other.submit(second)
            time.sleep(WAIT)
        found.append([list(one.items()), list(later.result(20).items())])

first, second = row(a, user, 0), row(b, user, 0)
race(lambda: save(a, [first], [], {user}), lambda: save(b, [second], [], {user}))
race(lambda: save(a, [], [first.id], {user}), lambda: save(b, [], [second.id], {user}))
third, fourth = row(a, user, 1), row(c, user, 0)
found.append(list(save(a, [third], [], {user}).items()))
found.append(list(save(c, [fourth], [], {user}).items()))
race(lambda: save(a, [], [third.id], {user}), lambda: remove(c))
found.append(list(save(a, [row(a, user, 2)], [], {user}).items()))
race(lambda: remove(a), lambda: remove(a))
print(json.dumps(found, default=str).replace(str(user), "0"))
"""
DECIDED = [
    [[[0, True]], []],  # two first connections: one of them is the first
    [[], [[0, False]]],  # two last ones: the second sees that the other has gone
    [[0, True]],
    [],
    [[], [[0, False]]],  # a last connection and the last of a dead server
    [[0, True]],
    [[[0, False]], []],  # one server reaps
]


async def test_two_servers_decide_one_after_the_other_on_postgresql(killable: Cluster) -> None:
    assert await asyncio.to_thread(killable.servers[0].python, RACE.replace("WAIT", "0.5")) == DECIDED


def test_two_servers_decide_one_after_the_other_on_sqlite(own_server: Server) -> None:
    assert own_server.python(RACE.replace("WAIT", "0.5")) == DECIDED


def test_news_are_told_in_messages_of_a_bounded_size() -> None:
    from realtime_project import registry

    moves = dict.fromkeys(range(2_500), True) | dict.fromkeys(range(2_500, 3_000), False)
    messages = [json.loads(message) for message in registry._messages(moves)]
    assert [len(message["came"]) + len(message["went"]) for message in messages] == [1_000, 1_000, 1_000]
    assert sorted(user for message in messages for user in message["came"]) == list(range(2_500))
    assert sorted(user for message in messages for user in message["went"]) == list(range(2_500, 3_000))
