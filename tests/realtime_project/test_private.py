"""Private topics: rows Z24 and Z25 of the checklist, from everywhere a message may come, and attacks on them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from textwrap import dedent
from typing import Any
from urllib.parse import quote

import pytest
from channels.testing import WebsocketCommunicator
from django.core.management import CommandError, call_command

from benchmarks.cluster import Cluster
from benchmarks.services import Redis
from realtime_project import private
from realtime_project.connections import Connection, door
from realtime_project.consumers import Consumer
from realtime_project.hub import Hub
from realtime_project.topics import Topic, topic_in, topic_out
from tests.helpers import PATIENCE, ChatClient, Refused, Server, Socket, connect, guest

PUBLISH = "from realtime_project.topics import Topic; Topic({topic!r}).publish_sync({content!r})"


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[tuple[Socket, dict[str, str]]]:
    """A connection, and the names of its private topics."""
    async with connect(server.ws("ws/private/")) as socket:
        yield socket, await socket.recv_json()


async def test_z24_one_connection_is_reached_by_another_of_its_server_and_nobody_else_is(mounted: Server) -> None:
    async with opened(mounted) as (one, to_one), opened(mounted) as (other, _), opened(mounted) as (sender, _):
        assert to_one["out"].startswith("conn.out:")
        await sender.send_json({"how": "async", "topic": to_one["out"], "content": "żółw"})
        assert await one.recv() == "żółw"
        await sender.send_json({"how": "thread", "topic": to_one["out"], "content": "from a thread"})
        assert await one.recv() == b"from a thread"
        await other.silent()
        await sender.silent()


async def test_z25_what_comes_through_topic_in_is_handled_as_if_the_client_had_sent_it(mounted: Server) -> None:
    async with opened(mounted) as (one, to_one), opened(mounted) as (other, _), opened(mounted) as (sender, _):
        for number in range(50):
            await sender.send_json({"how": "async", "topic": to_one["in"], "content": str(number)})
        assert [await one.recv() for _ in range(50)] == [f"handled {number}" for number in range(50)]
        await sender.send_json({"how": "thread", "topic": to_one["in"], "content": "bytes"})
        assert await one.recv() == b"handled bytes"
        await other.silent()


@pytest.mark.logs_errors
async def test_a_message_of_others_that_fails_ends_its_own_connection_as_the_clients_would(mounted: Server) -> None:
    async with opened(mounted) as (one, to_one), opened(mounted) as (sender, _):
        await sender.send_json({"how": "async", "topic": to_one["in"], "content": "fail"})
        assert await one.closed() == (1011, "internal error")
        await sender.send_json({"how": "async", "topic": to_one["in"], "content": "nobody is there any more"})
        await sender.send("still here")
        assert await sender.recv() == "handled still here"


async def test_z24_z25_from_the_other_server_a_command_and_a_python_process(pair: Cluster) -> None:
    here, there = pair.servers
    async with opened(here) as (one, to_one), opened(here) as (other, _), opened(there) as (sender, _):
        await sender.send_json({"how": "async", "topic": to_one["out"], "content": "from there"})
        assert await one.recv() == "from there"
        await sender.send_json({"how": "async", "topic": to_one["in"], "content": "from there"})
        assert await one.recv() == "handled from there"
        await asyncio.to_thread(there.manage, "publish", to_one["out"], "from a command")
        assert await one.recv() == "from a command"
        await asyncio.to_thread(there.manage, "publish", to_one["in"], "from a command")
        assert await one.recv() == "handled from a command"
        await asyncio.to_thread(there.python, PUBLISH.format(topic=to_one["out"], content=b"\x00\xff"))
        assert await one.recv() == b"\x00\xff"
        await asyncio.to_thread(there.python, PUBLISH.format(topic=to_one["in"], content=b"\xff"))
        assert await one.recv() == b"handled \xff"
        await other.silent()


async def told(there: Server, here: Server, socket: Socket, code: str) -> None:
    """Runs `code` on the other server's machine as soon as the registry has this socket, which is at `port`."""
    known = f"""
    from realtime_project import registry
    from realtime_project.models import Connection
    server = registry.servers().get(port={here.port}).id
    port = {socket.local_address[1]}
    print(Connection.objects.filter(server=server, client_port=port).count())
    """
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(there.python, known):
            await asyncio.sleep(0.1)
    await asyncio.to_thread(there.python, dedent(known) + dedent(code))


async def test_a_row_of_the_registry_is_an_address(pair: Cluster) -> None:
    here, there = pair.servers
    async with connect(here.ws("ws/one/")) as socket, connect(here.ws("ws/one/")) as other:
        code = """
        from realtime_project import registry
        from realtime_project.topics import topic_out
        topic_out(registry.clients(server, "/ws/one/").get(client_port=port)).publish_sync("found you")
        """
        await told(there, here, socket, code)
        assert await socket.recv() == "found you"
        await other.silent()


async def test_z25_a_topic_endpoint_pushes_what_comes_through_topic_in(pair: Cluster) -> None:
    here, there = pair.servers
    async with connect(here.ws("ws/both/")) as both, connect(there.ws("ws/two/")) as two:
        code = """
        from realtime_project import registry
        from realtime_project.topics import topic_in
        topic_in(registry.clients(server, "/ws/both/").get(client_port=port)).publish_sync("as if")
        """
        await told(there, here, both, code)
        assert await two.recv() == "as if"
        assert [await both.recv(), await both.recv()] == ["as if", "as if"]  # it is subscribed to both topics


async def test_a_connection_costs_redis_nothing(pair: Cluster, redis: Redis) -> None:
    here, there = pair.servers
    before = redis.channels()
    async with opened(here) as (one, to_one), opened(there) as (sender, _):
        await sender.send_json({"how": "async", "topic": to_one["out"], "content": "hello"})
        assert await one.recv() == "hello"
        assert redis.channels() <= before


async def test_a_server_reaches_its_own_without_redis(servers: list[Server], pair: Cluster) -> None:
    here, _ = pair.servers
    async with opened(here) as (one, to_one), opened(here) as (sender, _):
        before = pair.redis[0].published()
        for number in range(20):
            await sender.send_json({"how": "async", "topic": to_one["out"], "content": str(number)})
            assert await one.recv() == str(number)
        assert pair.redis[0].published() - before < 20  # the sweeps' rings go on


# Attacks --------------------------------------------------------------------------------------------------------


async def test_a_room_of_that_name_leads_nowhere(mounted: Server) -> None:
    async with opened(mounted) as (victim, topics):
        for name in topics.values():
            for room in (name, f"..:{name}", f"x:{name}", name.replace(":", "%3A"), f"\n{name}"):
                async with connect(mounted.ws(f"ws/rooms/{quote(room, safe='')}/")) as attacker:
                    await attacker.send_json({"user": "mallory", "text": "let me in"})
                    assert (await attacker.recv_json())["text"] == "let me in"  # in a room of its own
        await victim.silent(0.5)


async def test_nothing_that_a_client_may_name_is_a_topic(mounted: Server) -> None:
    async with opened(mounted) as (victim, topics), ChatClient(mounted, guest(mounted)) as attacker:
        for name in topics.values():
            with pytest.raises(Refused, match=r"not_found|invalid_message"):
                await attacker.subscribe(name)
            with pytest.raises(Refused, match=r"not_found|invalid_message"):
                await attacker.post(name, "let me in")
        for path in ("ws/broadcast/", "ws/feed/", "ws/both/"):
            async with connect(mounted.ws(f"{path}?topic={topics['out']}&since=0")) as socket:
                await socket.send(json.dumps({"topic": topics["out"], "content": "let me in"}))
        await victim.silent(0.5)


# In process -----------------------------------------------------------------------------------------------------


class Postbox(Consumer):
    """An endpoint with a receiver of its own, as an actor's mailbox is."""

    async def connect(self) -> None:
        self.scope["made"].append(self.connection)
        await self.accept()


@asynccontextmanager
async def communicating() -> AsyncIterator[tuple[WebsocketCommunicator, Connection]]:
    communicator = WebsocketCommunicator(door(Postbox.as_asgi(), endpoint="/ws/test/"), "/ws/test/")
    made: list[Connection] = []
    communicator.scope["made"] = made
    assert (await communicator.connect())[0]
    yield communicator, made[0]
    await communicator.disconnect()


@pytest.mark.usefixtures("fresh_hub")
async def test_a_receiver_of_ones_own_gets_what_comes_in_order_and_its_kind() -> None:
    async with communicating() as (client, connection):
        await connection.topic_in.publish("nobody takes it yet")
        got: list[Any] = []
        connection.on_private(got.append)
        await connection.topic_in.publish("a")
        await asyncio.to_thread(connection.topic_in.publish_sync, b"b")
        connection.topic_in.publish_nowait("")
        assert got == ["a", b"b", ""]
        await connection.topic_out.publish(b"out")
        assert await client.receive_from() == b"out"
    connection.topic_in.publish_nowait("gone")
    connection.topic_out.publish_nowait("gone")
    assert got == ["a", b"b", ""]
    assert connection.id not in private.clients


@pytest.mark.usefixtures("fresh_hub")
async def test_a_receiver_that_fails_is_no_trouble_of_the_publishers(caplog: pytest.LogCaptureFixture) -> None:
    def fail(content: Any) -> None:
        raise RuntimeError("full")

    async with communicating() as (_, connection):
        connection.on_private(fail)
        await connection.topic_in.publish("x")
    assert "its connection failed" in caplog.text


@pytest.mark.usefixtures("fresh_hub")
async def test_what_waits_for_a_busy_consumer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_project.consumers.POSTED", 3)
    handled: list[Any] = []
    free = asyncio.Event()

    class Busy(Postbox):
        async def connect(self) -> None:
            self.receive_private()
            await super().connect()

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await free.wait()
            handled.append(text_data)

    communicator = WebsocketCommunicator(door(Busy.as_asgi(), endpoint="/ws/test/"), "/ws/test/")
    made: list[Connection] = []
    communicator.scope["made"] = made
    assert (await communicator.connect())[0]
    for number in range(10):
        await made[0].topic_in.publish(str(number))
        await asyncio.sleep(0)
    free.set()
    await asyncio.sleep(0.05)
    assert handled == ["0", "1", "2", "3"]
    await communicator.disconnect()


@pytest.mark.usefixtures("fresh_hub")
async def test_nobody_subscribes_to_a_private_topic_or_keeps_it() -> None:
    async with communicating() as (_, connection):
        for topic in (topic_out(connection), topic_in(connection)):
            with pytest.raises(ValueError, match="is private"):
                async with topic.subscribe():
                    pass
            with pytest.raises(ValueError, match="is private"):
                topic.on_publish(lambda content: None)
            with pytest.raises(ValueError, match="is private: it keeps no history"):
                Topic(f"{topic.name}x", history=True)


@pytest.mark.parametrize("name", ["conn.out:", "conn.in:x", "conn.out::", "conn.out:a:b:c", "conn.out"])
async def test_a_name_that_leads_to_nobody_is_published_to_in_vain(fresh_hub: Hub, name: str) -> None:
    await Topic(name).publish("nobody")
    private.deliver(f"conn.out:{private.SERVER}", ["nobody"])


def test_a_command_without_redis_says_why_it_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "here", None)
    with pytest.raises(CommandError, match="Publish inside the server, or set REDIS_URL"):
        call_command("publish", "conn.out:somewhere:someone", "x")
