"""Outbound clients as rows: each is run by one process at a time, and followed when that one dies."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from actors import clients, outbound
from actors.clients import WebSocketClient
from actors.models import OutboundClient
from actors.outbound import AlreadySo, Runner
from benchmarks.services import Redis
from realtime_project import database
from realtime_project.hub import Hub
from realtime_project.topics import Topic
from tests.actors.remote import make, remote, until
from tests.helpers import PATIENCE, PROJECT, Server

LEASE = 1.5  # seconds, for a busy machine
out, log_out = Topic("tests.outbound.out"), Topic("tests.outbound.log", history=True)


@pytest.fixture
async def _house(transactional_db: None, fresh_hub: Hub, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OUTBOUND_ALLOW, settings.SERVER_LEASE = [ip_network("127.0.0.0/8")], LEASE
    monkeypatch.setattr(outbound, "BEAT", 0.05)
    monkeypatch.setattr(clients, "FIRST", 0.02)


rows = pytest.mark.usefixtures("_house")


async def create(url: str, **fields: Any) -> OutboundClient:
    fields = {"name": "bridge", "out_stream_from": [out.name], "is_wanted": True, **fields}
    return await OutboundClient.objects.acreate(url=url, **fields)


async def shown(row: OutboundClient) -> Any:
    """The row as it is now."""
    return await asyncio.to_thread(lambda: database.clean(outbound.conditions().filter(pk=row.pk).first))


async def becomes(row: OutboundClient, condition: str, **fields: Any) -> Any:
    """The row, as soon as it is so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await shown(row)
            if found.condition == condition and all(getattr(found, name) == fields[name] for name in fields):
                return found
            await asyncio.sleep(0.01)


async def steer(order: Callable[[OutboundClient], None], row: OutboundClient) -> None:
    await asyncio.to_thread(database.clean, order, row)


@asynccontextmanager
async def runner(name: str) -> AsyncIterator[Runner]:
    """A process, as far as leases tell."""
    mine = Runner(name)
    task = asyncio.create_task(mine.run())
    try:
        yield mine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@rows
async def test_of_several_processes_one_runs_a_row_and_another_follows_the_one_that_leaves() -> None:
    async with remote() as there, runner("one"):
        row = await create(there.url)
        async with runner("two"), runner("three"):
            await becomes(row, "connected")
            await asyncio.sleep(1.2 * LEASE)
            assert len(there.sockets) == 1, "the lease is renewed"
            assert (await shown(row)).holder in ("one", "two", "three")
        async with runner("four"):
            found = await becomes(row, "connected")
            await until(lambda: len(there.sockets) - len(there.closes) == 1)
            assert found.holder in ("one", "four")


@rows
async def test_who_is_killed_is_followed_when_the_lease_has_ended() -> None:
    async with remote() as there:
        row = await create(there.url)
        async with runner("killed") as killed:
            await becomes(row, "connected")
            killed.beat = never  # type: ignore[method-assign]  # nothing of it runs any more, but its socket is open
            begun = time.monotonic()
            async with runner("other"):
                await until(lambda: len(there.sockets) == 2)
                assert time.monotonic() - begun > 0.5 * LEASE
                assert (await becomes(row, "connected")).holder == "other"
                assert len(there.closes) == 1, "whoever cannot renew closes before another opens"


async def never() -> None:
    await asyncio.Event().wait()


@rows
async def test_without_the_database_nothing_is_sent_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with remote() as there:
        row = await create(there.url)
        async with runner("one"):
            await becomes(row, "connected")
            with monkeypatch.context() as away:
                away.setattr(outbound, "_beat", broken)
                await until(lambda: there.closes)
                await out.publish("to nobody")
            await until(lambda: len(there.sockets) == 2)
            await becomes(row, "connected")
            assert there.received == []


@rows
async def test_a_lease_that_comes_late_opens_nothing_beside_what_still_closes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other end does not read, so that its connection takes long to close; meanwhile the row is this process's."""
    running = most = 0
    run, beat, is_late = WebSocketClient.run, outbound._beat, False

    async def counted(client: WebSocketClient) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await run(client)
        finally:
            running -= 1

    def late(*told: Any) -> Any:
        nonlocal is_late
        found = beat(*told)
        if is_late:
            is_late = False
            time.sleep(0.9 * LEASE)
        return found

    async def busy(socket: ServerConnection) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(WebSocketClient, "run", counted)
    monkeypatch.setattr(outbound, "_beat", late)
    async with remote(talk=busy) as there:
        row = await create(there.url)
        async with runner("one"):
            await becomes(row, "connected")
            for number in range(200):  # more than it takes without reading
                await out.publish(str(number))
            is_late = True
            await until(lambda: len(there.sockets) == 2, 30)
            assert (running, most) == (1, 1)
            assert caplog.text.count("cannot be renewed") == 1, "what closes is let to close"


def broken(*_: Any) -> None:
    raise OSError("the database is away")


@rows
async def test_start_stop_change_and_delete_are_seen_within_a_beat() -> None:
    async with remote() as one, remote() as two, runner("one"):
        row = await create(one.url, is_wanted=False)
        assert (await shown(row)).condition == "stopped"
        await steer(outbound.start, row)
        with pytest.raises(AlreadySo, match="started already"):
            await steer(outbound.start, row)
        await becomes(row, "connected")
        await steer(outbound.stop, row)
        with pytest.raises(AlreadySo, match="stopped already"):
            await steer(outbound.stop, row)
        with pytest.raises(AlreadySo, match="start it"):
            await steer(outbound.again, row)
        await becomes(row, "stopped")
        assert one.closes == [(1000, "")]
        await steer(outbound.start, row)
        await becomes(row, "connected")
        await OutboundClient.objects.filter(pk=row.pk).aupdate(url=two.url, version=99)
        await until(lambda: len(two.sockets) == 1)
        assert len(one.closes) == 2
        await becomes(row, "connected")
        await row.adelete()
        await until(lambda: two.closes)


@rows
async def test_z60_how_it_goes_stands_in_the_row_and_is_added_up() -> None:
    gate = asyncio.Event()

    async def once(socket: ServerConnection) -> None:
        if not gate.is_set():
            await socket.recv()
            await socket.close(4000, "not now")

    async with remote(talk=once) as there, runner("one"):
        row = await create(there.url)
        await becomes(row, "connected")
        await out.publish("first")
        await until(lambda: there.closes)
        gate.set()
        await until(lambda: len(there.sockets) == 2)
        found = await becomes(row, "connected", last_error="closed with 4000 not now")
        assert found.held_by.rpartition(" · ")[2].isdigit()
        await steer(outbound.stop, row)
        found = await becomes(row, "stopped")
        assert (found.messages_out, found.bytes_out, found.reconnects, found.connected_at) == (1, 5, 1, None)
        await steer(outbound.start, row)
        await becomes(row, "connected")
        await out.publish("second")
        await until(lambda: there.received == ["second"])
        await steer(outbound.stop, row)
        assert (await becomes(row, "stopped")).messages_out == 2


@rows
async def test_what_a_durable_topic_publishes_meanwhile_is_sent_by_whoever_follows() -> None:
    await log_out.publish("before")
    async with remote() as there:
        row = await create(there.url, out_stream_from=[log_out.name])
        async with runner("one"):
            await becomes(row, "connected")
            await log_out.publish("while one runs it")
            await until(lambda: there.received == ["while one runs it"])
        await log_out.publish("while nobody does")
        async with runner("two"):
            await until(lambda: there.received == ["while one runs it", "while nobody does"])


@rows
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "http://geheim@example.org"}, "scheme isn't ws or wss"),
        ({"out_stream_from": ["no.such.topic"]}, "no topic is declared as 'no.such.topic'"),
        ({"actor": "nobody", "out_stream_from": []}, "nothing is declared as 'nobody'"),
        ({"url": "ws://169.254.169.254/"}, "a link-local address"),
    ],
    ids=["url", "topic", "actor", "address"],
)
async def test_z60_a_row_that_cannot_work_says_why_and_harms_no_other(fields: dict[str, Any], why: str) -> None:
    async with remote() as there, runner("one"):
        bad = await create(**{"url": there.url, "name": "bad", **fields})
        good = await create(there.url)
        await becomes(good, "connected")
        found = await becomes(bad, "refused")
        assert why in found.last_error
        assert "geheim" not in found.last_error
        await steer(outbound.stop, bad)
        await becomes(bad, "stopped")


# real processes -------------------------------------------------------------------------------------------------
class Process:
    """`manage.py outbound`."""

    def __init__(self, server: Server) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "outbound"], cwd=PROJECT, env=server.environment, stderr=subprocess.DEVNULL
        )

    def leave(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def test_a_process_of_its_own_is_not_for_the_in_memory_layer(server: Server) -> None:
    with pytest.raises(AssertionError, match="the server itself runs outbound clients"):
        server.manage("outbound")


async def test_manage_py_outbound_is_followed_when_it_is_killed_and_leaves_when_it_is_told(
    template: Path, tmp_path: Path, redis: Redis
) -> None:
    shared = Server(tmp_path, template, REDIS_URL=redis.url, OUTBOUND_ALLOW="127.0.0.1", SERVER_LEASE=4)
    processes: list[Process] = []
    async with remote() as there:
        await asyncio.to_thread(make, shared, there.url, out_stream_from=["news"])
        try:
            processes += [Process(shared), Process(shared)]
            await until(lambda: len(there.sockets) == 1, 30)
            owner = await asyncio.to_thread(
                shared.python,
                "from actors.models import OutboundClient as R\nprint(json.dumps(R.objects.get().held_by))",
            )
            holder = next(each for each in processes if owner.endswith(f" {each.process.pid}"))
            other = next(each for each in processes if each is not holder)
            holder.process.kill()
            await until(lambda: len(there.sockets) == 2, 20)
            await asyncio.to_thread(shared.manage, "publish", "news", "after the fall")
            await until(lambda: there.received == ["after the fall"])
            assert await asyncio.to_thread(other.leave) == 0
            await until(lambda: len(there.closes) == 2)
            assert there.closes[-1] == (1000, "")
        finally:
            for each in processes:
                each.process.kill()
                each.process.wait()
