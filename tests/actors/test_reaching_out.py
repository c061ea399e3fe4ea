"""Outbound clients in a real server: actors start and stop them, rows have actors driven, and nothing leads inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acted.reading import ACTED, left_by_all, logged, nothing_more
from tests.actors.remote import make, remote, until
from tests.helpers import Server, Socket, connect, running


@pytest.fixture(scope="module")
def reaching(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may connect to this machine."""
    own = Server(tmp_path_factory.mktemp("reaching"), template, **ACTED, OUTBOUND_ALLOW="127.0.0.1")
    with running(own, servers) as shared:
        yield shared


async def told(socket: Socket, word: str, answer: str) -> None:
    await socket.send(word)
    assert await socket.recv() == answer


async def test_an_actor_starts_a_client_and_stops_it(reaching: Server) -> None:
    async with remote() as there, connect(reaching.ws("ws/acted/reaching/")) as ann:
        await told(ann, f"start {there.url}", "started")
        await until(lambda: there.sockets)
        await ann.send("out")
        await until(lambda: there.received == ["out"])
        await there.sockets[0].send("in")
        await there.sockets[0].send(b"\x00in")
        assert [await ann.recv(), await ann.recv()] == ["in", b"\x00in"]
        before = len(reaching.log())
        await told(ann, f"start {there.url}?token=geheim", "started")
        await until(lambda: "client 'far' runs already" in reaching.log()[before:])
        assert len(there.sockets) == 1
        await told(ann, "stop", "stopped")
        await until(lambda: there.closes == [(1000, "")])
        await told(ann, "stop", "stopped")
        await until(lambda: "no client 'far' runs" in reaching.log()[before:])
        await ann.send("to nobody")
        await told(ann, f"start {there.url}", "started")  # it can be started anew
        await until(lambda: len(there.sockets) == 2)
        await ann.send("once more")
        await until(lambda: there.received == ["out", "once more"])
    assert "geheim" not in reaching.log()


async def test_a_client_ends_with_the_actor_that_has_started_it(start_server: Callable[..., Server]) -> None:
    server = start_server(**ACTED, OUTBOUND_ALLOW="127.0.0.1")
    async with remote() as there:
        async with connect(server.ws("ws/acted/reaching/")) as ann:
            await told(ann, "stop", "stopped")
        before = await left_by_all(server)
        for _ in range(5):
            async with connect(server.ws("ws/acted/reaching/")) as ann:
                await told(ann, f"start {there.url}", "started")
                opened = len(there.closes) + 1
                await ann.send("out")  # which arrives when the client, too, has seen the connection open
                await until(lambda opened=opened: len(there.received) == opened)  # type: ignore[misc]
            await until(lambda opened=opened: len(there.closes) == opened)  # type: ignore[misc]
        assert {code for code, _ in there.closes} == {1001}
        await nothing_more(server, before)


async def test_z61_a_row_has_an_actor_driven_until_it_is_done(reaching: Server) -> None:
    condition = "from actors import outbound\nprint(json.dumps(outbound.conditions().get(pk={}).condition))"
    async with remote() as there:
        row = await asyncio.to_thread(make, reaching, f"{there.url}?token=geheim", name="l", actor="acted.listener")
        await until(lambda: there.received == ["hello from afar"])
        await there.sockets[0].send("that is all")
        await until(lambda: there.closes == [(1000, "")])
        async with asyncio.timeout(20):
            while await asyncio.to_thread(reaching.python, condition.format(row)) != "stopped":
                await asyncio.sleep(0.2)
        assert f"reached {there.url}?token=…" in await logged(reaching)
        assert len(there.sockets) == 1, "an actor that is done is not tried again"


async def test_what_a_shell_publishes_goes_out_of_a_server_and_into_it(reaching: Server) -> None:
    """As docs/outbound.md has it to try."""
    async with connect(reaching.ws("ws/broadcast/")) as ann:
        await asyncio.to_thread(make, reaching, reaching.ws("ws/broadcast/"), name="try", out_stream_from=["news"])
        status = (
            "from actors.models import OutboundClient\nprint(json.dumps(OutboundClient.objects.get(name='try').status))"
        )
        async with asyncio.timeout(20):
            while await asyncio.to_thread(reaching.python, status) != "connected":
                await asyncio.sleep(0.2)
        await asyncio.to_thread(reaching.manage, "publish", "news", "hello")
        assert await ann.recv() == "hello"


async def test_ssrf_no_actor_reaches_inside(acted: Server) -> None:
    async with remote() as there, connect(acted.ws("ws/acted/reaching/")) as eve:
        before = len(acted.log())
        await told(eve, f"start ws://2130706433:{there.port}/?token=geheim", "started")
        await until(lambda: "2130706433 leads to 127.0.0.1, a loopback address" in acted.log()[before:])
        await told(eve, "stop", "stopped")
        assert there.requests == []
        assert "geheim" not in acted.log()
