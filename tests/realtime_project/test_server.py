"""What the server promises every connection: limits, honest closes, and a goodbye before it leaves."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import cast

import httpx
import pytest
from websockets.exceptions import InvalidHandshake

from tests.helpers import PATIENCE, PROJECT, TRACEBACK, ChatClient, Server, Socket, connect, free_port, guest, metric

MIB = 1024 * 1024
QUIET = {"DJANGO_SETTINGS_MODULE": "tests.mounted.settings"}


def resident(server: Server) -> int:
    """Bytes of memory that the server has now (proc(5), statm)."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """The most memory that a server has while it is looked at, above what it had at first."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.before = self.most = resident(server)
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self.most = max(self.most, resident(self.server))
            await asyncio.sleep(0.02)

    def grown(self) -> int:
        self._task.cancel()
        return max(self.most, resident(self.server)) - self.before


async def handshake(server: Server, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket of whose frames nobody reads any: bare TCP after the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**16)
    lines = [f"GET /{path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        answer = b""
    if not answer.startswith(b"HTTP/1.1 101"):
        writer.close()
        raise ConnectionRefusedError(answer)
    return reader, writer


def pause(writer: asyncio.StreamWriter) -> None:
    """Leave what comes to the kernel, until it has no more room."""
    cast(asyncio.ReadTransport, writer.transport).pause_reading()


def resume(writer: asyncio.StreamWriter) -> None:
    cast(asyncio.ReadTransport, writer.transport).resume_reading()


# Slow readers and busy consumers --------------------------------------------------------------------------------


async def test_z17_a_reader_that_stops_costs_little_and_is_told_while_the_others_get_everything(
    server: Server,
) -> None:
    messages, size = 1_280, 64 * 1024  # 80 MiB
    url = server.ws("ws/broadcast/")
    async with connect(url, max_queue=None) as sender, connect(url, max_queue=4) as other:
        await sender.send("warm " * 10_000)
        assert await other.recv() == await sender.recv()
        _, writer = await handshake(server, "ws/broadcast/")
        pause(writer)
        watch = Watch(server)

        async def read(socket: Socket, ahead: asyncio.Semaphore) -> int:
            got = 0
            for _ in range(messages):
                got += len(await socket.recv())
                ahead.release()
            return got

        keeping_up = {socket: asyncio.Semaphore(8) for socket in (sender, other)}  # messages: less than the limit
        reading = [asyncio.create_task(read(socket, ahead)) for socket, ahead in keeping_up.items()]
        for _ in range(messages):
            for ahead in keeping_up.values():
                await ahead.acquire()
            await sender.send("x" * size)
        assert await asyncio.gather(*reading) == [messages * size] * 2
        grown = watch.grown()
        assert grown <= 5 * MIB, f"the server grew by {grown / MIB:.1f} MiB"
        writer.transport.abort()


def slow_readers(server: Server) -> float:
    return metric(server, "realtime_slow_readers_total")


async def test_z17_a_slow_reader_that_reads_on_sees_why_it_is_closed(server: Server) -> None:
    async with connect(server.ws("ws/broadcast/"), max_queue=None) as sender:
        late, writer = await handshake(server, "ws/broadcast/")
        pause(writer)
        given_up = slow_readers(server) + 1
        while slow_readers(server) < given_up:  # when the kernel's buffers and ours are full
            for _ in range(16):
                await sender.send("x" * 64 * 1024)
                await sender.recv()
        resume(writer)  # within two seconds
        last = b""
        async with asyncio.timeout(PATIENCE):
            while chunk := await late.read(2**20):
                last = (last + chunk)[-10:]
        assert last == (1013).to_bytes(2) + b"too slow"
        writer.close()


async def test_z17_a_slow_reader_that_never_reads_again_is_cut(server: Server) -> None:
    async with connect(server.ws("ws/broadcast/"), max_queue=None) as sender:
        _, writer = await handshake(server, "ws/broadcast/")
        pause(writer)
        port = writer.get_extra_info("sockname")[1]
        count = f"""
        from realtime_project.models import Connection
        print(Connection.objects.filter(client_port={port}, endpoint="/ws/broadcast/").count())
        """
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(server.python, count) == 0:  # the registry has it
                await asyncio.sleep(0.1)
        for _ in range(320):
            await sender.send("x" * 64 * 1024)
            await sender.recv()
        deadline = time.monotonic() + PATIENCE
        while await asyncio.to_thread(server.python, count) > 0:
            assert time.monotonic() < deadline, "its row is still there"
            await asyncio.sleep(0.1)
        writer.transport.abort()


async def test_a_busy_consumer_makes_its_client_wait_and_costs_little(start_server: Callable[..., Server]) -> None:
    server = start_server(**QUIET, WEBSOCKET_DRAIN=1)
    _, writer = await handshake(server, "ws/busy/")
    frame = b"\x82\xfe" + (1_000).to_bytes(2) + bytes(4) + bytes(1_000)
    watch = Watch(server)
    offered = 0
    try:
        async with asyncio.timeout(3):
            while offered < 150 * MIB:
                writer.write(frame * 1_000)
                offered += len(frame) * 1_000
                await writer.drain()
    except TimeoutError:
        pass  # it was made to wait
    grown = watch.grown()
    assert offered < 150 * MIB, "nothing made the client wait"
    assert grown <= 16 * MIB, f"the server grew by {grown / MIB:.1f} MiB"
    writer.transport.abort()


async def test_a_busy_consumer_loses_nothing(start_server: Callable[..., Server]) -> None:
    server = start_server(**QUIET, WEBSOCKET_MAX_QUEUE=3)
    async with connect(server.ws("ws/slow/"), max_queue=None) as socket:
        for number in range(500):
            await socket.send(str(number))
            if number % 50 == 0:
                await socket.ping()
        assert [await socket.recv() for _ in range(500)] == [str(number) for number in range(500)]


async def test_what_has_gone_is_freed_without_the_collector(start_server: Callable[..., Server]) -> None:
    """Collections are rare, so that they hold nobody up: a connection that refers to itself would stay for hours."""
    server = start_server(**QUIET)
    classes = ("Wire", "Inbox", "Channel", "Request", "Subscription", "TopicConsumer", "PlainConsumer")

    async with connect(server.ws("ws/alive/")) as asking:

        async def alive() -> Counter[str]:
            await asking.send("?")
            counted = await asking.recv_json()
            return Counter({name: counted.get(name, 0) for name in classes})

        before = await alive()
        for path in ("ws/asgi/echo/", "ws/one/", "ws/log/?since=0", "ws/plain/", "ws/echo/", "ws/names/"):
            async with connect(server.ws(path)) as socket, connect(server.ws(path)) as dropped:
                await socket.send("x")
                assert (await alive())["Wire"] >= before["Wire"] + 2
                dropped.transport.abort()
        with pytest.raises(InvalidHandshake):
            await connect(server.ws("ws/nowhere/")).__aenter__()
        deadline = time.monotonic() + PATIENCE
        while more := await alive() - before:
            assert time.monotonic() < deadline, more
            await asyncio.sleep(0.1)


# Time -----------------------------------------------------------------------------------------------------------


async def test_h46_silence_is_closed_and_traffic_is_not(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_IDLE_TIMEOUT=1)

    async def silent() -> float:
        began = time.monotonic()
        async with connect(server.ws("ws/asgi/echo/"), ping_interval=None) as socket:
            assert await socket.closed() == (4408, "idle")
        return time.monotonic() - began

    async def talkative() -> None:
        async with connect(server.ws("ws/asgi/echo/"), ping_interval=None) as socket:
            for _ in range(6):
                await asyncio.sleep(0.4)
                await socket.send("x")
                await socket.recv()

    took, _ = await asyncio.gather(silent(), talkative())
    assert took >= 1


async def test_who_answers_pings_is_not_idle(start_server: Callable[..., Server]) -> None:
    server = start_server("--ping-interval", "1", WEBSOCKET_IDLE_TIMEOUT=2)
    async with connect(server.ws("ws/asgi/echo/"), ping_interval=None) as socket:
        await socket.silent(4)
        await socket.send("x")
        assert await socket.recv() == "Echo: x"


async def test_a_request_that_drips_in_is_cut(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_HANDSHAKE_TIMEOUT=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    dripped = 0
    async with asyncio.timeout(PATIENCE):
        for letter in b"GET /ws/broadcast/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 1_000:
            writer.write(bytes([letter]))
            dripped += 1
            try:
                if await asyncio.wait_for(reader.read(1), 0.1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert dripped < 100
    writer.close()


# Descriptors ----------------------------------------------------------------------------------------------------


async def test_a_full_server_says_so_refuses_politely_and_recovers(template: Path, tmp_path: Path) -> None:
    server = Server(tmp_path, template)
    limit = f"ulimit -n 128; exec {sys.executable} manage.py serve -b 127.0.0.1 -p {server.port}"
    server.command = lambda: ["bash", "-c", limit]  # type: ignore[method-assign]
    server.start()
    try:
        held = []
        with pytest.raises(ConnectionRefusedError):
            for _ in range(128):
                held.append(await handshake(server, "ws/asgi/echo/"))
        assert len(held) > 20
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as browser:
            refused = await browser.get("/healthz")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "file descriptors are in use" in server.log()
        for _, writer in held:
            writer.transport.abort()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                async with connect(server.ws("ws/asgi/echo/")) as socket:
                    await socket.send("x")
                    assert await socket.recv() == "Echo: x"
                break
            except (InvalidHandshake, OSError):
                assert time.monotonic() < deadline, "it did not recover"
                await asyncio.sleep(0.1)
    finally:
        server.stop()


# The end --------------------------------------------------------------------------------------------------------


async def leave_under_load(server: Server, sockets: int) -> None:
    """SIGTERM while everybody talks: all are told 1012, exit 0, and no acknowledged post is lost."""
    cookie = guest(server)
    async with ChatClient(server, cookie) as poster:
        talking = asyncio.Barrier(sockets + 1)

        async def talk() -> tuple[int | None, str | None]:
            async with connect(server.ws("ws/asgi/echo/")) as socket:
                await talking.wait()
                sending = asyncio.create_task(chatter(socket))
                code = await socket.closed()
                sending.cancel()
                return code

        async def chatter(socket: Socket) -> None:
            while True:
                await socket.send("x" * 100)
                await asyncio.sleep(0.01)

        acknowledged: list[int] = []

        async def post() -> None:
            while True:
                acknowledged.append((await poster.post("lobby", "hold on"))["offset"])

        talkers = [asyncio.create_task(talk()) for _ in range(sockets)]
        posting = asyncio.create_task(post())
        async with asyncio.timeout(PATIENCE):
            await talking.wait()
        await asyncio.sleep(0.5)
        server.signal(signal.SIGTERM)
        assert await asyncio.gather(*talkers) == [(1012, "service restart")] * sockets
        await asyncio.wait_for(poster.socket.wait_closed(), PATIENCE)
        assert poster.socket.close_code == 1012
        with pytest.raises(Exception):  # noqa: B017, PT011  # whatever a closed connection raises here
            await posting
    assert await asyncio.to_thread(server.wait) == 0, server.log()
    assert "Traceback" not in server.log()
    rows = """
    from realtime_project.models import Connection, Server, TopicEvent
    from chat.models import Room
    topic = Room.objects.get(slug="lobby").topic_name
    stored = list(TopicEvent.objects.filter(topic__name=topic).values_list("offset", flat=True))
    print(json.dumps([stored, Connection.objects.count(), Server.objects.count()]))
    """
    stored, connections, servers = await asyncio.to_thread(server.python, rows)
    assert set(acknowledged) <= set(stored)
    assert (connections, servers) == (0, 0), "its rows wait for nobody's lease"


async def test_h62_everybody_is_told_before_the_server_leaves(start_server: Callable[..., Server]) -> None:
    await leave_under_load(start_server(WEBSOCKET_RATE=0), 50)


@pytest.mark.soak
async def test_h62_twenty_times_with_two_hundred(start_server: Callable[..., Server]) -> None:
    for _ in range(20):
        await leave_under_load(start_server(WEBSOCKET_RATE=0), 200)


async def test_h62_a_disconnect_handler_runs_for_every_connection(start_server: Callable[..., Server]) -> None:
    server = start_server(**QUIET)
    async with connect(server.ws("ws/parting/")) as one, connect(server.ws("ws/parting/")) as two:
        server.signal(signal.SIGTERM)
        assert [(await socket.closed())[0] for socket in (one, two)] == [1012, 1012]
    assert await asyncio.to_thread(server.wait) == 0
    assert server.log().count("parted with 1012") == 2


async def test_a_client_that_never_says_goodbye_does_not_hold_the_server(start_server: Callable[..., Server]) -> None:
    server = start_server()
    _, writer = await handshake(server, "ws/asgi/echo/")
    began = time.monotonic()
    assert await asyncio.to_thread(server.stop) == 0
    assert time.monotonic() - began < 8  # below WEBSOCKET_DRAIN: it was cut, not waited for
    writer.transport.abort()


async def test_an_application_that_does_not_end_is_waited_for_no_longer_than_the_drain(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(**QUIET, WEBSOCKET_DRAIN=1)
    async with connect(server.ws("ws/stubborn/")) as socket:
        server.signal(signal.SIGTERM)
        assert (await socket.closed())[0] == 1012
    assert await asyncio.to_thread(server.wait) == 0


async def test_a_second_signal_ends_at_once(start_server: Callable[..., Server]) -> None:
    server = start_server(**QUIET, WEBSOCKET_DRAIN=60)
    async with connect(server.ws("ws/stubborn/")) as socket:
        server.signal(signal.SIGTERM)
        await socket.closed()
        server.signal(signal.SIGINT)
        assert await asyncio.to_thread(server.wait) == 1


async def test_new_clients_are_not_taken_while_it_leaves(start_server: Callable[..., Server]) -> None:
    server = start_server(**QUIET, WEBSOCKET_DRAIN=2)
    async with connect(server.ws("ws/stubborn/")) as socket:
        server.signal(signal.SIGTERM)
        await socket.closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)


def test_z68_a_second_server_on_a_taken_port_ends_with_one_clear_line(own_server: Server) -> None:
    second = subprocess.run(
        own_server.command(), cwd=PROJECT, env=own_server.environment, text=True, capture_output=True, timeout=60
    )
    assert second.returncode == 1
    assert len(second.stderr.strip().splitlines()) == 1
    assert str(own_server.port) in second.stderr
    assert "in use" in second.stderr


async def test_the_reloader_says_goodbye_too(template: Path, tmp_path: Path) -> None:
    """manage.py runserver, with its reloader, in a copy of the project: a file is touched, and then comes Ctrl-C."""
    server, copied = Server(tmp_path, template, DEBUG=1), tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", str(PROJECT), str(copied)], check=True)
    command = [sys.executable, "manage.py", "runserver", f"127.0.0.1:{server.port}"]
    with server.log_file.open("w") as log:
        process = subprocess.Popen(
            command, cwd=copied, env=server.environment, stdout=log, stderr=log, start_new_session=True
        )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            first = await told_1012(server, (copied / "chat" / "text.py").touch)
            second = await told_1012(server, partial(os.killpg, process.pid, signal.SIGINT))
            assert first != second
            assert await asyncio.to_thread(process.wait) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert processes(server) == [], "who ended has left the registry"
    assert TRACEBACK not in server.log(), server.log()


async def told_1012(server: Server, end: Callable[[], None]) -> int:
    """The process that served when the end came: its clients were told 1012."""
    while True:
        try:
            async with connect(server.ws("ws/broadcast/")) as socket:
                while not (pids := processes(server)):
                    await asyncio.sleep(0.1)
                await asyncio.sleep(1)  # the reloader looks once a second, and first learns what there is
                end()
                assert (await socket.closed())[0] == 1012
                [pid] = pids
                return pid
        except (OSError, InvalidHandshake):
            await asyncio.sleep(0.2)


def processes(server: Server) -> list[int]:
    """Those that are in the registry."""
    with closing(sqlite3.connect(server.database)) as database:
        return [pid for (pid,) in database.execute("SELECT pid FROM realtime_project_server")]


# Under a server that is not ours --------------------------------------------------------------------------------


async def test_the_plain_daphne_command_serves_and_says_what_is_missing(template: Path, tmp_path: Path) -> None:
    server = Server(tmp_path, template)
    daphne = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(server.port), "realtime_project.asgi:application"]
    server.command = lambda: [sys.executable, *daphne]  # type: ignore[method-assign]
    server.start()
    try:
        async with ChatClient(server, guest(server)) as client:
            await client.subscribe("lobby")
            ack = await client.post("lobby", "hello")
            await client.heard("lobby", ack["offset"])
        async with connect(server.ws("ws/broadcast/")) as socket:
            await socket.send("x")
            assert await socket.recv() == "x"
        assert server.log().count("manage.py serve") == 1
    finally:
        server.kill()


def test_a_raw_echo_needs_no_settings(tmp_path: Path) -> None:
    """`Server(application=echo, endpoints=[…]).run()` is enough."""
    code = f"""
from realtime_project.server import Server
async def echo(scope, receive, send):
    await send({{"type": "websocket.accept"}})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            await send({{"type": "websocket.send", "text": message["text"]}})
Server(application=echo, endpoints=["tcp:port={(port := free_port())}:interface=127.0.0.1"]).run()
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, env={"PATH": os.environ["PATH"]})
    try:
        asyncio.run(echoes(port))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


async def echoes(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            async with connect(f"ws://127.0.0.1:{port}/") as socket:
                await socket.send("x")
                assert await socket.recv() == "x"
                return
        except OSError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
