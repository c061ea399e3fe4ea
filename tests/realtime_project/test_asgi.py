"""The ASGI side over real sockets: rows H1 to H7, H10, H27 to H30, H40, H41 and H51 to H53 of the checklist."""

import asyncio
import base64
import os
import socket as sockets
import sys
import time

import httpx
import pytest
from websockets.sync.client import connect as sync_connect

from tests.helpers import PROJECT, Server, connect, free_port


async def test_h01_a_raw_asgi_application_mounts_unmodified(server: Server) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as socket:
        await socket.send("x")
        assert await socket.recv() == "Echo: x"


async def test_h02_so_does_one_that_accepts_without_receiving_connect_first(server: Server) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as first, connect(server.ws("ws/asgi/echo/")) as second:
        await second.send("2")
        await first.send("1")
        assert (await first.recv(), await second.recv()) == ("Echo: 1", "Echo: 2")


async def test_h03_and_one_that_waits_for_connect(mounted: Server) -> None:
    async with connect(mounted.ws("ws/polite/")) as socket:
        await socket.send("x")
        assert await socket.recv() == "x"


async def test_h04_h05_the_scope_is_what_the_specification_says(mounted: Server) -> None:
    headers = [("X-Twice", "one"), ("X-Twice", "two")]
    url = mounted.ws("ws/scope/?room=a%20b&x=1&x=2")
    async with connect(url, subprotocols=["first", "second"], additional_headers=headers[:1]) as socket:
        told = await socket.recv_json()
    assert told["type"] == "websocket"
    assert told["path"] == "/ws/scope/"
    assert told["query_string"] == "room=a%20b&x=1&x=2"
    assert told["subprotocols"] == ["first", "second"]
    assert told["client"][0] == "127.0.0.1"
    assert told["server"] == ["127.0.0.1", mounted.port]
    assert told["are_bytes"]
    assert all(name == name.lower() for name, _ in told["headers"])
    assert ["x-twice", "one"] in told["headers"]


async def test_h06_connect_comes_first(mounted: Server) -> None:
    async with connect(mounted.ws("ws/scope/")) as socket:
        assert (await socket.recv_json())["first"] == "websocket.connect"


async def test_h07_an_application_may_ask_whether_bytes_are_in_the_message(mounted: Server) -> None:
    async with connect(mounted.ws("ws/polite/")) as socket:
        await socket.send(b"binary")
        await socket.send("text")
        assert [await socket.recv(), await socket.recv()] == [b"binary", "text"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["json", "graphql-ws"], "graphql-ws"),
        (["graphql-ws", "json"], "graphql-ws"),
        (["other", "json"], "json"),
        (["other"], None),
        (None, None),
    ],
)
async def test_h10_h29_h30_the_subprotocol(server: Server, offered: list[str] | None, chosen: str | None) -> None:
    async with connect(server.ws("ws/subprotocols/"), subprotocols=offered) as socket:
        assert socket.subprotocol == chosen
        await socket.send('{"type":"connection_init"}')
        answer = await socket.recv()
    expected = {
        "graphql-ws": '{"type":"connection_ack"}',
        "json": '{"type":"echo","text":"{\\"type\\":\\"connection_init\\"}"}',
        None: 'Echo: {"type":"connection_init"}',
    }
    assert answer == expected[chosen]


async def test_h27_binary_comes_back_intact_up_to_a_mebibyte(server: Server) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as socket:
        for size in (0, 1, 125, 126, 65_535, 65_536, 1024 * 1024):
            content = os.urandom(size)
            await socket.send(content)
            assert await socket.recv() == content


async def test_h28_mixed_text_and_binary_are_answered_in_kind(server: Server) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as socket:
        for content in ("a", b"b", "c", b"d"):
            await socket.send(content)
        assert [await socket.recv() for _ in range(4)] == ["Echo: a", b"b", "Echo: c", b"d"]


async def test_h40_a_handler_that_waits_replies_unprompted(mounted: Server) -> None:
    async with connect(mounted.ws("ws/eager/")) as socket:
        for _ in range(20):
            await socket.recv()
        assert await socket.recv() == "unprompted"


async def test_h41_what_is_sent_right_after_accept_arrives_in_order(mounted: Server) -> None:
    async with connect(mounted.ws("ws/eager/")) as socket:
        assert [await socket.recv() for _ in range(20)] == [str(number) for number in range(20)]


async def test_h51_a_fastapi_application_mounts_unmodified(mounted: Server) -> None:
    async with connect(mounted.ws("ws/fastapi/ws/lobby")) as socket:
        await socket.send("hi")
        assert await socket.recv() == "Room lobby: hi"


async def test_h52_a_starlette_application_mounts_unmodified(mounted: Server) -> None:
    async with connect(mounted.ws("ws/starlette/ws")) as socket:
        await socket.send("hi")
        assert await socket.recv() == "hi"


async def test_h53_the_websockets_library_talks_to_it_from_plain_code(server: Server) -> None:
    def talk() -> str | bytes:
        with sync_connect(server.ws("ws/asgi/echo/"), proxy=None) as socket:
            socket.send("sync")
            return socket.recv(10)

    assert await asyncio.to_thread(talk) == "Echo: sync"


async def test_h53_so_does_a_command_line_client(server: Server) -> None:
    command = ["-m", "websockets", server.ws("ws/asgi/echo/")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"typed\n")
    await process.stdin.drain()
    heard = b""
    async with asyncio.timeout(10):
        while b"Echo: typed" not in heard:
            heard += await process.stdout.read(1000)
    process.stdin.close()
    await process.wait()


@pytest.mark.logs_errors
async def test_a_consumer_of_channels_own_works_beside_ours_and_its_failure_is_its_own(mounted: Server) -> None:
    async with connect(mounted.ws("ws/plain/")) as a, connect(mounted.ws("ws/plain/")) as b:
        await a.send("hello")
        assert await a.recv() == await b.recv() == "hello"
        await b.send("fail")
        code, reason = await b.closed()
        assert code == 1011
        assert "asked to fail" not in (reason or "")
        await a.send("still here")
        assert await a.recv() == "still here"
    assert "the application failed" in mounted.log()


async def test_z67_an_unknown_path_is_refused_and_logged_in_a_line(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as browser:
        answer = await browser.get("/ws/nowhere/", headers=handshake())
    assert answer.status_code == 404
    assert server.log().count("'/ws/nowhere/'") == 1


async def test_z67_a_page_request_for_a_websocket_is_told_to_upgrade(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as browser:
        answer = await browser.get("/ws/broadcast/")
        assert answer.status_code == 426
        assert answer.headers["upgrade"] == "websocket"
        assert (await browser.get("/ws/nowhere/")).status_code == 404


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://127.0.0.1:{port}", 101),
        ("http://127.0.0.1:1", 403),
        ("https://127.0.0.1.evil.example:{port}", 403),
        ("http://evil.example", 403),
        ("http://evil.example:{port}", 403),
        ("null", 403),
        ("file://", 403),
        ("http://user@127.0.0.1:{port}", 403),
    ],
)
def test_only_our_own_pages_may_connect(server: Server, origin: str | None, status: int) -> None:
    origin = origin and origin.format(port=server.port)
    assert shake(server, handshake() | ({"Origin": origin} if origin else {})) == status
    if status == 403:
        assert f"origin {origin!r}" in server.log()


def test_a_foreign_host_header_is_no_way_in(server: Server) -> None:
    rebound = {"Host": f"evil.example:{server.port}", "Origin": f"http://evil.example:{server.port}"}
    assert shake(server, handshake() | rebound) == 403


def handshake() -> dict[str, str]:
    key = base64.b64encode(os.urandom(16)).decode()
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }


def shake(server: Server, headers: dict[str, str], path: str = "/ws/asgi/echo/") -> int:
    """The status that a handshake with these headers is answered with."""
    headers = {"Host": f"127.0.0.1:{server.port}"} | headers
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with sockets.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        deadline = time.monotonic() + 10
        answer = b""
        while b"\r\n" not in answer and time.monotonic() < deadline:
            answer += connection.recv(1000)
    return int(answer.split()[1])


@pytest.mark.parametrize("bad", ["not json", "[]", '"text"', "[" * 5_000])
async def test_bad_input_in_a_subprotocol_is_answered_and_leaves_the_socket_open(server: Server, bad: str) -> None:
    async with connect(server.ws("ws/subprotocols/"), subprotocols=["graphql-ws"]) as socket:
        await socket.send(bad)
        assert (await socket.recv_json())["code"] == "invalid_message"
        await socket.send('{"type":"ping"}')
        assert await socket.recv_json() == {"type": "pong"}


async def test_a_command_warns_loudly_when_debug_can_be_reached_from_elsewhere(server: Server) -> None:
    for address, warned in (("0.0.0.0", True), ("127.0.0.1", False)):
        arguments = ["manage.py", "runserver", "--noreload", f"{address}:{free_port()}"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env=server.environment,
            cwd=PROJECT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout
        heard = b""
        async with asyncio.timeout(30):
            while b"Quit the server" not in heard:
                heard += await process.stdout.read(1000)
        process.terminate()
        await process.communicate()
        assert (b"DEBUG is on and the server listens on 0.0.0.0" in heard) is warned
