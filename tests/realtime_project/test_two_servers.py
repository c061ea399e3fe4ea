"""Two servers on PostgreSQL and Redis: what holds on one holds across them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.helpers import PROJECT, ChatClient, Server, browser, connect, guest, unique
from tests.layer import subscribed


async def until_ready(server: Server, ready: bool = True) -> None:
    async with asyncio.timeout(15):
        while not await asyncio.to_thread(says, server, ready):
            await asyncio.sleep(0.1)


def says(server: Server, ready: bool) -> bool:
    with browser(server.url) as asking:
        answer: dict[str, object] = asking.get("/readyz").json()
    return answer["ready"] is ready


async def test_a_broadcast_reaches_both_servers(pair: Cluster) -> None:
    one, two = pair.servers
    async with connect(one.ws("ws/broadcast/")) as a, connect(two.ws("ws/broadcast/")) as b:
        await subscribed(pair.redis, "demo.broadcast")
        for content in ("text", b"\x00\xff", "żółw\0"):
            await a.send(content)
            assert await a.recv() == await b.recv() == content


async def test_h22_two_servers_share_a_room(pair: Cluster) -> None:
    one, two = pair.servers
    name = unique("room")
    async with connect(one.ws(f"ws/rooms/{name}/")) as a, connect(two.ws(f"ws/rooms/{name}/")) as b:
        await subscribed(pair.redis, f"demo.room:{name}")
        await b.send_json({"user": "bob", "text": "over here"})
        assert await a.recv_json() == {"type": "message", "user": "bob", "text": "over here"}


async def test_z05_a_burst_keeps_each_senders_order_across_servers(pair: Cluster) -> None:
    one, two = pair.servers
    async with (
        connect(one.ws("ws/broadcast/"), max_queue=None) as a,
        connect(two.ws("ws/broadcast/"), max_queue=None) as b,
    ):
        await subscribed(pair.redis, "demo.broadcast")
        for number in range(1_000):
            await a.send(f"a{number}")
            await b.send(f"b{number}")
        for socket in (a, b):
            got = [str(await socket.recv()) for _ in range(2_000)]
            assert [text for text in got if text[0] == "a"] == [f"a{number}" for number in range(1_000)]
            assert [text for text in got if text[0] == "b"] == [f"b{number}" for number in range(1_000)]


async def test_z11_an_operation_runs_once_however_many_servers_there_are(pair: Cluster) -> None:
    one, two = pair.servers
    async with connect(one.ws("ws/ops/")) as a, connect(two.ws("ws/ops/")) as b:
        await subscribed(pair.redis, "mounted.to_clients")
        await a.send("quietly")
        for socket in (a, b):
            assert await socket.recv() == "QUIETLY"
            await socket.silent()


async def test_z13_another_process_publishes_to_plain_and_durable_topics(pair: Cluster) -> None:
    one, two = pair.servers
    async with (
        connect(one.ws("ws/broadcast/")) as plain,
        connect(two.ws("ws/broadcast/")) as other,
        connect(two.ws("ws/feed/")) as feed,
    ):
        await subscribed(pair.redis, "demo.broadcast")
        word = unique("from a command")
        await asyncio.to_thread(one.manage, "publish", "demo.broadcast", word)
        assert await plain.recv() == await other.recv() == word
        await asyncio.to_thread(one.manage, "publish", "news", word)
        assert await feed.recv() == word


async def test_z13_an_operation_runs_in_a_command_too(pair: Cluster) -> None:
    one, two = pair.servers
    async with connect(two.ws("ws/ops/")) as socket:
        await subscribed(pair.redis, "mounted.to_clients", servers=1)
        await asyncio.to_thread(one.manage, "publish", "mounted.from_clients", "quietly")
        assert await socket.recv() == "QUIETLY"
        await socket.silent()


async def test_a_chat_on_two_servers_is_one_chat(pair: Cluster) -> None:
    one, two = pair.servers
    async with ChatClient(one, guest(one)) as a, ChatClient(two, guest(two)) as b:
        await a.subscribe("lobby")
        await b.subscribe("lobby")
        for number in range(20):
            await (a if number % 2 else b).post("lobby", str(number))
        last = await a.post("lobby", "last")
        for client in (a, b):
            await client.heard("lobby", last["offset"])
            client.assert_whole("lobby")
        assert a.texts("lobby")[-21:] == b.texts("lobby")[-21:]
        async with ChatClient(two, guest(two)) as late:
            await late.subscribe("lobby", since=last["offset"] - 5)
            await late.heard("lobby", last["offset"])
            late.assert_whole("lobby")


async def test_z50_z52_both_servers_and_their_clients_are_listed(pair: Cluster) -> None:
    one, two = pair.servers
    async with connect(one.ws("ws/asgi/echo/")), connect(two.ws("ws/asgi/echo/")):
        code = """
        from realtime_project import registry
        print(json.dumps([
            [server.port, len(registry.clients(server.id, "/ws/asgi/echo/"))] for server in registry.servers()
        ]))
        """
        async with asyncio.timeout(20):
            while sorted(await asyncio.to_thread(one.python, code)) != sorted([[one.port, 1], [two.port, 1]]):
                await asyncio.sleep(0.1)


THERE = """
from realtime_project import registry
server = registry.servers().get(port={port})
rows = list(registry.clients(server.id).values())
print(json.dumps({{
    "endpoints": {{each["path"]: each["mode"] for each in registry.endpoints(server.id)}},
    "clients": [row for row in rows if row["path"] == {path!r}],
    "numbers": [row["channel_id"] for row in rows],
    "nowhere": list(registry.clients(server.id, "/ws/nowhere/")),
}}, default=str))
"""
NOBODY = """
from realtime_project import registry
try:
    registry.clients("nobody")
except registry.UnknownServer as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.logs_errors
async def test_z51_z53_z54_h36_what_one_server_has_is_read_at_the_other(pair: Cluster) -> None:
    """In PostgreSQL as in SQLite: every column that is written, and that nothing of who has gone is left."""
    here, there = pair.servers

    async def told(path: str, fits: Callable[[list[Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 12
        while True:
            found = await asyncio.to_thread(here.python, THERE.format(port=there.port, path=path))
            if fits(found["clients"]) or time.monotonic() > deadline:
                return dict(found)
            await asyncio.sleep(0.1)

    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(connect(there.ws("ws/plain/"))) for _ in range(3)]
        actor = await stack.enter_async_context(connect(there.ws("ws/echo/")))
        await told("/ws/echo/", lambda rows: len(rows) == 1)  # before it says anything: a rate needs two looks
        found = await told("/ws/plain/", lambda rows: len(rows) == 3)
        modes = {"/ws/plain/": "consumer", "/ws/echo/": "actor", "/ws/chat/": "chat"}
        assert modes.items() <= found["endpoints"].items()
        assert "/healthz" not in found["endpoints"]
        assert len(found["clients"]) == 3
        assert len(found["numbers"]) == len(set(found["numbers"]))
        assert found["nowhere"] == []
        assert "no live server has the id 'nobody'" in await asyncio.to_thread(here.python, NOBODY)

        def is_counted(rows: list[Any]) -> bool:
            return bool(rows) and rows[0]["messages_in"] == 30 and rows[0]["rate_out"] > 0

        began = datetime.now(UTC)
        for number in range(30):
            await actor.send(str(number))
        [row] = (await told("/ws/echo/", is_counted))["clients"]
        assert (row["messages_in"], row["messages_out"], row["unsent"]) == (30, 31, 0)
        assert 0 < row["rate_in"] <= row["rate_out"]
        assert row["state"].startswith("Connected(")
        assert datetime.fromisoformat(row["last_message_at"]) > began

        clean, dropped, failed = ways
        await clean.close()
        dropped.transport.abort()
        await failed.send("fail")
        assert (await told("/ws/plain/", lambda rows: rows == []))["clients"] == []


async def counted(server: Server, servers: int, connections: int) -> None:
    """Waits until the registry holds so many."""
    rows = """
    from realtime_project.models import Connection, Server
    print(json.dumps([Server.objects.count(), Connection.objects.count()]))
    """
    deadline = time.monotonic() + 8
    while (left := await asyncio.to_thread(server.python, rows)) != [servers, connections]:
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.1)


async def test_z50_a_killed_server_leaves_with_its_clients(pair: Cluster) -> None:
    one, two = pair.servers
    try:
        async with connect(two.ws("ws/asgi/echo/")):
            await counted(one, 2, 1)
            two.kill()
        await counted(one, 1, 0)
    finally:
        two.start()


@pytest.mark.logs_errors
async def test_without_redis_posts_are_acknowledged_and_delivered_and_a_publish_fails_clearly(
    postgres: Postgres, servers: list[Server], tmp_path: Path
) -> None:
    layer = Redis()
    layer.start()
    cluster = Cluster(tmp_path, postgres, [layer], "away", 2, WEBSOCKET_RATE=0)
    servers.extend(cluster.servers)
    cluster.start()
    try:
        one, two = cluster.servers
        async with ChatClient(one, guest(one)) as a, ChatClient(two, guest(two)) as b:
            await a.subscribe("lobby")
            await b.subscribe("lobby")
            await a.post("lobby", "before")
            layer.kill()
            took = []
            for _ in range(3):
                posted = time.monotonic()
                ack = await a.post("lobby", "while redis is away")
                took.append(time.monotonic() - posted)
            assert min(took) < 1.5
            await b.heard("lobby", ack["offset"], timeout=5)
            with pytest.raises(AssertionError, match="did not take the message"):
                await asyncio.to_thread(one.manage, "publish", "demo.broadcast", "nobody hears this")
            for server in (one, two):  # each has seen that it is away, and then that it is back
                await until_ready(server, False)
            layer.start()
            for server in (one, two):
                await until_ready(server)
            async with connect(one.ws("ws/broadcast/")) as plain, connect(two.ws("ws/broadcast/")) as other:
                await subscribed([layer], "demo.broadcast")
                await plain.send("again")
                assert await other.recv(5) == "again"
            ack = await a.post("lobby", "after")
            await b.heard("lobby", ack["offset"], timeout=1.5)  # by doorbell, not by the sweep
            for client in (a, b):
                client.assert_whole("lobby")
    finally:
        cluster.stop()
        layer.kill()


STUCK = """
import os, signal, django
django.setup()
from django.db import transaction
from realtime_project.models import TopicHead
with transaction.atomic():
    print(len(TopicHead.objects.select_for_update()), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


async def test_who_freezes_in_a_transaction_holds_the_others_up_for_a_while_only(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, postgres, [redis], unique("stuck").replace("-", "_"), 1)
    [server] = cluster.servers
    server.environment["DATABASE_URL"] += "?options=-c%20idle_in_transaction_session_timeout%3D2s"  # 30 s otherwise
    told = server.environment | {"DJANGO_SETTINGS_MODULE": "realtime_project.settings"}
    servers.extend(cluster.servers)
    cluster.start()
    stuck = subprocess.Popen([sys.executable, "-c", STUCK], cwd=PROJECT, env=told, stdout=subprocess.PIPE, text=True)
    try:
        async with ChatClient(server, await asyncio.to_thread(guest, server)) as chat:
            await chat.subscribe("lobby")
            assert stuck.stdout
            assert int(await asyncio.to_thread(stuck.stdout.readline)) > 1, "every topic's row is locked"
            began = time.monotonic()
            ack = await chat.post("lobby", "hello")
            assert time.monotonic() - began > 0.5, "it had to wait"
            await chat.heard("lobby", ack["offset"])
    finally:
        stuck.kill()
        stuck.communicate()
        cluster.stop()


async def test_two_redis_hosts_share_the_topics(postgres: Postgres, servers: list[Server], tmp_path: Path) -> None:
    layers = [Redis(), Redis()]
    for layer in layers:
        layer.start()
    cluster = Cluster(tmp_path, postgres, layers, "shared", 2, DJANGO_SETTINGS_MODULE="tests.mounted.settings")
    servers.extend(cluster.servers)
    cluster.start()
    try:
        one, two = cluster.servers
        for _ in range(20):
            name = unique("room")
            async with connect(one.ws(f"ws/rooms/{name}/")) as a, connect(two.ws(f"ws/rooms/{name}/")) as b:
                await subscribed(layers, f"demo.room:{name}")
                await a.send_json({"text": name})
                assert (await b.recv_json())["text"] == name
        async with AsyncExitStack() as stack:
            for number in range(8):  # a private topic goes by way of the host that its name says
                socket = await stack.enter_async_context(connect(two.ws("ws/private/")))
                topic = (await socket.recv_json())["out"]
                await asyncio.to_thread(
                    one.python, f"from realtime_project.topics import Topic\nTopic({topic!r}).publish_sync('{number}')"
                )
                assert await socket.recv() == str(number)
        assert all(layer.published() > 5 for layer in layers)
    finally:
        cluster.stop()
        for layer in layers:
            layer.kill()
