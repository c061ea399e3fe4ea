"""The panel of one server steers the clients of another, over Redis and PostgreSQL."""

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.admin_panel.conftest import Desk, hire
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


@pytest.mark.parametrize("path", ["server", "connection", "topichead", "ban"])
async def test_the_lists_are_searched_on_postgresql_too(steered: Cluster, path: str) -> None:
    here = steered.servers[0]
    boss = Desk(here, (await asyncio.to_thread(hire, here, "super"))["super"])
    for query in ({}, {"q": "127.0"}, {"o": "1"}):
        answer = await asyncio.to_thread(boss.get, f"/admin/realtime_project/{path}/", **query)
        assert answer.status_code == 200, query
