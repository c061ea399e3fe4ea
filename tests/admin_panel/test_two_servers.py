"""The panel of one server steers the clients of another, over Redis and PostgreSQL."""

import asyncio
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from urllib.parse import quote

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.admin_panel.conftest import Desk, hire
from tests.admin_panel.test_dashboard_socket import DASHBOARD, pushes
from tests.admin_panel.test_hostile import KEYS, LISTS, SOUGHT
from tests.admin_panel.test_orders import client_id, frames, refused, until
from tests.helpers import ChatClient, Server, connect, guest, unique


@pytest.fixture(scope="module")
def steered(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("steered"), postgres, [redis], "steered", 2)
    servers.extend(cluster.servers)
    cluster.start()
    yield cluster
    cluster.stop()


async def test_what_staff_order_here_happens_there(steered: Cluster) -> None:
    here, there = steered.servers
    cookie = (await asyncio.to_thread(hire, here, "super"))["super"]
    boss = Desk(here, cookie)
    ann = guest(there, name := unique("ann"))
    room = f"ws/rooms/{unique('room')}/"
    async with (
        ChatClient(there, ann) as client,
        connect(there.ws(room)) as watched,
        connect(there.ws("ws/echo/")) as actor,
    ):
        id = await client_id(here, watched)
        async with connect(here.ws(f"ws/admin/tail/{id}/"), cookie) as tail:
            await tail.recv_json()
            await asyncio.sleep(0.5)  # the order is on its way
            await watched.send_json({"text": "hi", "token": "s3cret"})
            await watched.recv()
            [seen, *_] = await frames(tail, 1)
            assert "hi" in seen["text"]
            assert "s3cret" not in seen["text"]

        assert (await asyncio.to_thread(boss.order, "message", targets=id, content="psst")).is_redirect
        assert await watched.recv() == "psst"
        assert (await asyncio.to_thread(boss.order, "announce", text="tea at five")).is_redirect
        await client.frame(lambda frame: frame == {"type": "announcement", "text": "tea at five"})
        assert (await asyncio.to_thread(boss.order, "close", targets=id, code=4321, reason="enough")).is_redirect
        assert await watched.closed() == (4321, "enough")

        acting = await client_id(here, actor)
        assert (await asyncio.to_thread(boss.order, "stop", targets=acting)).is_redirect
        assert await actor.closed() == (1000, "")

        assert (await asyncio.to_thread(boss.order, "ban", person=name, hours=1)).is_redirect
        async with asyncio.timeout(5):
            await client.socket.wait_closed()
        assert (client.socket.close_code, client.socket.close_reason) == (4403, "banned for a time")
        for place in (here, there):
            await until(403, place, "ws/chat/", ann)
            assert await refused(place, "ws/asgi/echo/") == 101


async def test_z52_who_comes_and_goes_there_is_seen_here(steered: Cluster) -> None:
    """In the panel, within two seconds. Most of the time: a machine that tests something else beside may stumble."""
    here, there = steered.servers
    boss = Desk(here, (await asyncio.to_thread(hire, here, "super"))["super"])

    async def until_listed(room: str, count: int) -> float:
        began = time.monotonic()
        async with asyncio.timeout(10):
            while True:
                page = await asyncio.to_thread(boss.get, "/admin/realtime_project/connection/", q=room)
                if page.text.count('name="_selected_action"') == count:
                    return time.monotonic() - began
                await asyncio.sleep(0.05)

    came, went = [], []
    for _ in range(5):
        async with connect(there.ws(room := f"ws/rooms/{unique('room')}/")):
            came.append(await until_listed(f"/{room}", 1))
        went.append(await until_listed(f"/{room}", 0))
    assert median(came) < 2, came
    assert median(went) < 2, went


async def test_h37_h39_staff_at_both_servers_are_shown_the_same_cluster(steered: Cluster) -> None:
    here, there = steered.servers
    cookie = (await asyncio.to_thread(hire, here, "super"))["super"]
    async with connect(here.ws(DASHBOARD), cookie, origin=here.url) as stays:
        async with connect(there.ws(DASHBOARD), cookie, origin=there.url) as breaks:
            found = await asyncio.gather(pushes(stays, 3.5), pushes(breaks, 3.5))
            breaks.transport.abort()
        for pictures in found:
            assert len(pictures) >= 3
            assert all(one["time"] < other["time"] for one, other in pairwise(pictures))
            assert {server["port"] for server in pictures[-1]["servers"]} == {here.port, there.port}
        assert len(await pushes(stays, 3.5)) >= 3, "one that leaves does not disturb another"
        async with connect(there.ws(DASHBOARD), cookie, origin=there.url) as again:
            assert (await again.recv_json())["totals"]["servers"] == 2


@pytest.mark.parametrize("path", LISTS)
async def test_the_lists_are_searched_on_postgresql_too(steered: Cluster, path: str) -> None:
    here = steered.servers[0]
    boss = Desk(here, (await asyncio.to_thread(hire, here, "super"))["super"])
    for query in ({}, {"q": "127.0"}, {"o": "1"}, *({"q": each} for each in SOUGHT)):
        answer = await asyncio.to_thread(boss.get, f"/admin/{path}/", **query)
        assert answer.status_code == 200, query
    for key in (*KEYS, "%00"):
        if key not in ("a/b", ".."):
            answer = await asyncio.to_thread(boss.get, f"/admin/{path}/{quote(key, safe='%')}/change/")
            assert answer.status_code in (302, 400, 404), key


async def test_a_client_cannot_spoil_the_list_for_the_others(steered: Cluster) -> None:
    """By what it says of itself before it is let in: PostgreSQL takes no NUL in a text, and rows come in batches."""
    here, there = steered.servers
    boss = Desk(here, (await asyncio.to_thread(hire, here, "super"))["super"])
    name = unique("room")
    odd = f"%00%ED%A0%80%E2%80%AE{name}%3Cscript%3E"
    async with connect(there.ws(f"ws/rooms/{odd}/")) as first, connect(there.ws(f"ws/rooms/{name}/")) as second:
        for socket in (first, second):
            await client_id(here, socket)
        page = await asyncio.to_thread(boss.get, "/admin/realtime_project/connection/", q=name)
        assert page.text.count('name="_selected_action"') == 2
        assert "<script>/" not in page.text
        await reported(here, rf"demo.room:\\0.*{name}<script>", f"demo.room:{name}")


async def reported(server: Server, *names: str) -> None:
    """Returns when the servers' rows have topics of these patterns among their busiest."""
    code = "from realtime_project import registry\nrows = registry.servers().defer(None)\n"
    code += "print(json.dumps([topic['name'] for row in rows for topic in row.topics]))"
    async with asyncio.timeout(15):
        found: list[str] = []
        while not all(any(re.fullmatch(name, topic) for topic in found) for name in names):
            found = await asyncio.to_thread(server.python, code)
            await asyncio.sleep(0.2)
