"""Who is connected: rows Z50 to Z54 and H36 of the checklist, as another process sees them in the database."""

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.helpers import Server, connect, guest, unique
from tests.realtime_project.test_server import MIB, handshake, pause, resume

FOLLOWS = 4.0  # seconds: two, on a machine that does other things beside

SERVERS = """
from realtime_project import registry
print(json.dumps(list(registry.servers().values()), default=str))
"""
CLIENTS = """
from realtime_project import registry
server = registry.servers().get(port={port})
rows = registry.clients(server.id, {path!r}).values(
    "channel_id", "client_ip", "connected_at", "user__name", "origin", "messages_in", "messages_out"
)
print(json.dumps(list(rows), default=str))
"""


def servers(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.python(SERVERS)
    return found


def clients(server: Server, path: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.python(CLIENTS.format(port=server.port, path=path))
    return found


async def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], patience: float = FOLLOWS) -> Any:
    deadline = time.monotonic() + patience
    while True:
        asked = time.monotonic()
        found = await asyncio.to_thread(look)
        if wanted(found) or asked > deadline:
            return found
        await asyncio.sleep(0.1)


async def test_z50_a_server_is_listed_and_a_killed_one_is_gone_within_its_lease(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()
    [row] = await eventually(lambda: servers(server), bool)
    assert (row["host"], row["port"], row["pid"]) == ("127.0.0.1", server.port, server.pid)
    assert row["version"]
    assert abs(datetime.fromisoformat(row["started_at"]) - datetime.now().astimezone()) < timedelta(minutes=1)
    server.kill()
    assert await eventually(lambda: servers(server), lambda rows: rows == []) == []
    other = start_server(database=server.database)
    left = "from realtime_project.models import Server; print(json.dumps(list(Server.objects.values_list('pid'))))"
    assert await eventually(lambda: server.python(left), lambda rows: rows == [[other.pid]], 8) == [[other.pid]]


async def test_z51_every_websocket_endpoint_is_listed_with_its_mode_and_no_page(server: Server) -> None:
    [row] = [row for row in servers(server) if row["port"] == server.port]
    code = f"from realtime_project import registry; print(json.dumps(registry.endpoints({row['id']!r})))"
    listed = {endpoint["path"]: endpoint["mode"] for endpoint in server.python(code)}
    assert listed == {
        "/ws/chat/": "chat",
        "/ws/broadcast/": "topic",
        "/ws/feed/": "topic",
        "/ws/rooms/": "topic",
        "/ws/rooms/<room>/": "topic",
        "/ws/subprotocols/": "consumer",
        "/ws/asgi/echo/": "asgi",
        "/ws/echo/": "actor",
        "/ws/names/": "actor",
        "/ws/store/": "actor",
        "/ws/quiz/": "actor",
        "/ws/dashboard/": "dashboard",
        "/ws/admin/tail/<connection>/": "tail",
    }


async def test_an_endpoint_tells_the_limits_that_it_keeps(server: Server) -> None:
    [row] = [row for row in servers(server) if row["port"] == server.port]
    limits = {each["path"]: (each["max_size"], each["rate"], each["burst"], each["queue"]) for each in row["endpoints"]}
    assert limits["/ws/chat/"] == (64 * 1024, 50, 100, 64)
    assert limits["/ws/dashboard/"] == (1024, 0, 0, 64)
    assert limits["/ws/asgi/echo/"] == limits["/ws/broadcast/"] == (16 * 1024 * 1024, 0, 0, 64)


WAITING = """
from realtime_project.models import Connection
print(json.dumps(list(Connection.objects.filter(unsent__gt=0).values_list("client_port", "unsent"))))
"""


async def test_a_slow_reader_is_seen_by_what_waits_for_it(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_MAX_BUFFER=64 * MIB)
    async with connect(server.ws("ws/broadcast/"), max_queue=None) as sender:
        reader, writer = await handshake(server, "ws/broadcast/")
        pause(writer)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        for _ in range(2):  # more than the kernel's buffers take
            await sender.send(b"x" * 8 * MIB)
            await sender.recv()
        port = writer.get_extra_info("sockname")[1]
        # the sender had something waiting too, while it was at it
        found = await eventually(lambda: server.python(WAITING), lambda rows: [who for who, _ in rows] == [port], 8)
        assert [who for who, _ in found] == [port], "the other one reads"
        assert 4 * MIB < found[0][1] < 16 * MIB
        resume(writer)
        async with asyncio.timeout(20):
            await reader.readexactly(16 * MIB)
        assert await eventually(lambda: server.python(WAITING), lambda rows: not rows, 8) == []
        writer.close()


async def test_z52_clients_follow_joins_and_leaves(server: Server) -> None:
    name = unique("ann")
    cookie = guest(server, name)
    async with (
        connect(server.ws("ws/chat/"), cookie, origin=server.url),
        connect(server.ws("ws/asgi/echo/")) as socket,
    ):
        for _ in range(3):
            await socket.send("count me")
            await socket.recv()
        mine = await eventually(
            lambda: [row for row in clients(server, "/ws/chat/") if row["user__name"] == name], bool
        )
        assert len(mine) == 1
        assert mine[0]["client_ip"] == "127.0.0.1"
        assert mine[0]["origin"] == server.url
        assert datetime.fromisoformat(mine[0]["connected_at"]).tzinfo
        echo = await eventually(
            lambda: clients(server, "/ws/asgi/echo/"), lambda rows: any(row["messages_in"] == 3 for row in rows), 10
        )
        assert [(row["messages_in"], row["messages_out"]) for row in echo if row["messages_in"]] == [(3, 3)]
    left = await eventually(
        lambda: clients(server),
        lambda rows: not any(row["user__name"] == name or row["messages_in"] == 3 for row in rows),
    )
    assert not [row for row in left if row["user__name"] == name]


async def test_z53_an_unknown_path_has_no_clients_and_an_unknown_server_is_an_error(server: Server) -> None:
    assert clients(server, "/ws/nowhere/") == []
    code = (
        "from realtime_project import registry\ntry: registry.clients('nobody')\nexcept registry.UnknownServer as e: "
    )
    assert "no live server has the id 'nobody'" in server.python(code + "print(json.dumps(str(e)))")


async def test_z54_channel_ids_are_unique_and_count_from_zero(start_server: Callable[..., Server]) -> None:
    server = start_server()
    opened = [connect(server.ws("ws/broadcast/")) for _ in range(5)]
    for connection in opened:
        await connection.__aenter__()
    rows = await eventually(lambda: clients(server), lambda rows: len(rows) == 5)
    assert [row["channel_id"] for row in rows] == [0, 1, 2, 3, 4]
    for connection in opened:
        await connection.__aexit__(None, None, None)


@pytest.mark.logs_errors
async def test_h36_the_row_is_gone_after_a_clean_close_a_drop_and_an_exception(mounted: Server) -> None:
    ways = [connect(mounted.ws("ws/plain/")) for _ in range(3)]
    clean, dropped, failed = [await way.__aenter__() for way in ways]
    rows = await eventually(lambda: clients(mounted, "/ws/plain/"), lambda rows: len(rows) == 3)
    assert len(rows) == 3
    await clean.close()
    dropped.transport.abort()
    await failed.send("fail")
    rows = await eventually(lambda: clients(mounted, "/ws/plain/"), lambda rows: not rows)
    assert rows == []
    for way in ways:
        await way.__aexit__(None, None, None)


async def test_a_person_deleted_while_connected_costs_the_server_nothing(start_server: Callable[..., Server]) -> None:
    server = start_server(SERVER_LEASE=2)
    cookie = guest(server, name := unique("ann"))
    async with connect(server.ws("ws/chat/"), cookie):
        await asyncio.to_thread(
            server.python,
            f"""
            from chat.models import *
            from django.db import transaction
            from realtime_project.models import Connection, Server
            user = User.objects.get(name={name!r})
            Connection.objects.all().delete()
            Server.objects.all().delete()  # as if reaped: everything is written again
            user.delete()
            """,
        )
        await asyncio.sleep(3)  # longer than the lease
        assert [row["pid"] for row in await asyncio.to_thread(servers, server)] == [server.pid]


async def test_a_connection_that_closes_right_after_the_first_beat_leaves_no_ghost(server: Server) -> None:
    room = f"/ws/rooms/{unique('room')}/"
    for _ in range(6):
        async with connect(server.ws(room)):
            await asyncio.sleep(0.35)
    assert await eventually(lambda: clients(server, room), lambda rows: rows == []) == []
