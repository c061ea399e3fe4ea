"""Topic mode over real sockets: rows Z1 to Z16, Z40, Z45 and Z69 of the checklist."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chat.consumers import TopicConsumer
from realtime_project.topics import Publish, Topic, generate_uid
from tests.helpers import Server, Socket, connect, unique


async def receive(socket: Socket, count: int) -> list[str | bytes]:
    return [await socket.recv() for _ in range(count)]


async def test_z01_what_one_sends_reaches_everyone_unchanged(server: Server) -> None:
    async with connect(server.ws("ws/broadcast/")) as a, connect(server.ws("ws/broadcast/")) as b:
        word = unique("hello")
        await a.send(word)
        assert await a.recv() == word
        assert await b.recv() == word


async def test_z02_bytes_stay_bytes(server: Server) -> None:
    async with connect(server.ws("ws/broadcast/")) as a, connect(server.ws("ws/broadcast/")) as b:
        await a.send(b"\x00\xff\x80")
        assert await b.recv() == b"\x00\xff\x80"
        await a.send("text")
        assert await receive(a, 2) == [b"\x00\xff\x80", "text"]


@pytest.mark.parametrize("text", ["", b"", "żółw 🐢 \u202e中", "a\0b", "\n", " "])
async def test_z03_empty_unicode_and_nul_arrive_unchanged(server: Server, text: str | bytes) -> None:
    async with connect(server.ws("ws/broadcast/")) as a, connect(server.ws("ws/broadcast/")) as b:
        await a.send(text)
        assert await b.recv() == text


async def test_z04_a_burst_of_a_thousand_reaches_ten_readers(start_server: Callable[..., Server]) -> None:
    server = start_server()
    async with connect(server.ws("ws/broadcast/"), max_queue=None) as sender:
        readers = [connect(server.ws("ws/broadcast/"), max_queue=None) for _ in range(10)]
        sockets = [await reader.__aenter__() for reader in readers]
        for number in range(1_000):
            await sender.send(str(number))
        expected = [str(number) for number in range(1_000)]
        for got in await asyncio.gather(*(receive(socket, 1_000) for socket in sockets)):
            assert got == expected
        for reader in readers:
            await reader.__aexit__(None, None, None)


async def test_z05_each_senders_order_is_kept_with_five_at_once(server: Server) -> None:
    senders = [connect(server.ws("ws/broadcast/"), max_queue=None) for _ in range(5)]
    sockets = [await sender.__aenter__() for sender in senders]

    async def send(who: int) -> None:
        for number in range(200):
            await sockets[who].send(f"{who}:{number}")

    await asyncio.gather(*(send(who) for who in range(5)))
    for got in await asyncio.gather(*(receive(socket, 1_000) for socket in sockets)):
        for who in range(5):
            assert [text for text in got if str(text).startswith(f"{who}:")] == [f"{who}:{n}" for n in range(200)]
    for sender in senders:
        await sender.__aexit__(None, None, None)


async def test_z06_one_name_is_one_topic_and_others_are_isolated(mounted: Server) -> None:
    async with (
        connect(mounted.ws("ws/push/")) as sender,
        connect(mounted.ws("ws/one/")) as one,
        connect(mounted.ws("ws/one/again/")) as again,
        connect(mounted.ws("ws/two/")) as two,
    ):
        await sender.send("for one")
        assert await one.recv() == "for one"
        assert await again.recv() == "for one"
        await two.silent()


async def test_z06_any_name_up_to_two_hundred_characters_works(mounted: Server) -> None:
    async with connect(mounted.ws("ws/unicode/")) as a, connect(mounted.ws("ws/unicode/")) as b:
        await a.send("here")
        assert await b.recv() == "here"
    for wrong in ("", "x" * 201):
        with pytest.raises(ValueError, match="1 to 200 characters"):
            Topic(wrong)


def test_z07_generated_names_are_unique_and_usable() -> None:
    names = {generate_uid() for _ in range(1_000)}
    assert len(names) == 1_000
    assert all(Topic(name).name == name for name in names)


async def test_z08_a_late_joiner_of_a_plain_topic_gets_nothing_old(server: Server) -> None:
    async with connect(server.ws("ws/broadcast/")) as early:
        await early.send(unique("old"))
        await early.recv()
        async with connect(server.ws("ws/broadcast/")) as late:
            await late.silent()
            await early.send("new")
            assert await late.recv() == "new"


async def test_z08_a_late_joiner_of_a_durable_topic_gets_what_it_asks_for(mounted: Server) -> None:
    async with connect(mounted.ws("ws/log/")) as writer:
        for number in range(5):
            await writer.send(f"entry {number}")
            await writer.recv()
        async with connect(mounted.ws("ws/log/?since=2")) as late:
            assert await receive(late, 3) == ["entry 2", "entry 3", "entry 4"]
            await writer.send("entry 5")
            assert await late.recv() == "entry 5"
        async with connect(mounted.ws("ws/log/")) as new:
            await new.silent()


async def test_z09_a_feed_ignores_what_clients_send(server: Server) -> None:
    async with connect(server.ws("ws/feed/")) as a, connect(server.ws("ws/feed/")) as b:
        await a.send("not for you")
        await a.send(b"nor this")
        await b.silent()
        word = unique("news")
        await asyncio.to_thread(server.manage, "publish", "news", word)
        assert await a.recv() == word
        assert await b.recv() == word


async def test_z10_a_push_only_endpoint_gives_its_client_nothing(mounted: Server) -> None:
    async with connect(mounted.ws("ws/push/")) as pusher, connect(mounted.ws("ws/one/")) as reader:
        await pusher.send("pushed")
        assert await reader.recv() == "pushed"
        await pusher.silent()


async def test_z11_an_operation_runs_once_a_publish_without_a_worker(mounted: Server) -> None:
    async with connect(mounted.ws("ws/ops/")) as a, connect(mounted.ws("ws/ops/")) as b:
        await a.send("quietly")
        for socket in (a, b):
            assert await socket.recv() == "QUIETLY"
            await socket.silent()


async def test_z12_several_topics_in_each_list(mounted: Server) -> None:
    async with (
        connect(mounted.ws("ws/both/")) as both,
        connect(mounted.ws("ws/one/")) as one,
        connect(mounted.ws("ws/two/")) as two,
        connect(mounted.ws("ws/push/")) as pusher,
    ):
        await both.send("to both")
        assert await one.recv() == "to both"
        assert await two.recv() == "to both"
        assert await receive(both, 2) == ["to both", "to both"]
        await pusher.send("to one")
        assert await both.recv() == "to one"
        await two.silent()


async def test_z13_a_durable_publish_from_a_command_reaches_a_running_server(server: Server) -> None:
    async with connect(server.ws("ws/feed/")) as reader:
        word = unique("from another process")
        printed = await asyncio.to_thread(server.manage, "publish", "news", word)
        assert "offset" in printed
        published = time.monotonic()
        assert await reader.recv() == word
        assert time.monotonic() - published < 4  # a sweep, on a busy machine


def test_z13_a_plain_publish_from_another_process_says_why_it_cannot_arrive(server: Server) -> None:
    with pytest.raises(AssertionError, match=r"in-memory channel layer reaches only[^$]*history=True"):
        server.manage("publish", "demo.broadcast", "nobody hears this")


@pytest.mark.parametrize("content", [{"a": 1}, 42, None, ["x"], bytearray(b"x")])
def test_z15_only_text_and_bytes_can_be_published(content: Any) -> None:
    topic = Topic("test.types")
    kind = type(content).__name__
    with pytest.raises(TypeError, match=f"str or bytes, not {kind}"):
        topic.publish_sync(content)
    with pytest.raises(TypeError, match=f"str or bytes, not {kind}"):
        asyncio.run(topic.publish(content))
    with pytest.raises(TypeError, match=f"str or bytes, not {kind}"):
        Publish(topic, content)


@pytest.mark.parametrize("target", ["demo.broadcast", None, 5])
def test_z16_only_to_a_topic_can_be_published(target: Any) -> None:
    with pytest.raises(TypeError, match=f"needs a Topic, not {type(target).__name__}"):
        Publish(target, "hello")


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ({"clients_subscribe_to": "news"}, "must be a list of topics, not 'news'"),
        ({"clients_push_into": Topic("a")}, "must be a list of topics"),
        ({"clients_subscribe_to": ["news"]}, "must hold topics, not 'news'"),
        ({"clients_subscribe_to": []}, "an endpoint needs topics"),
        ({}, "an endpoint needs topics"),
        ({"clients_subscribe": [Topic("a")]}, "has no clients_subscribe; it has burst, clients_push_into"),
        ({"clients_push_into": [Topic("a")], "rate": "10"}, "rate must be a number of messages, not '10'"),
        ({"clients_push_into": [Topic("a")], "rate": True}, "rate must be a number of messages, not True"),
        ({"clients_push_into": [Topic("a")], "rate": -1}, "rate must be a number from 0 on, not -1"),
        ({"clients_push_into": [Topic("a")], "rate": float("inf")}, "rate must be a number from 0 on, not inf"),
        ({"clients_push_into": [Topic("a")], "rate": 1, "burst": 0.5}, "burst must be a number from 1 on, not 0.5"),
        ({"clients_push_into": [Topic("a")], "burst": 5}, "burst needs a rate"),
        ({"clients_subscribe_to": [Topic("a")], "rate": 1}, "rate limits what clients push"),
    ],
)
def test_z40_a_wrong_endpoint_fails_when_it_is_built(arguments: dict[str, Any], mistake: str) -> None:
    with pytest.raises((TypeError, ValueError), match=mistake):
        TopicConsumer.as_asgi(**arguments)


async def test_a_client_that_pushes_too_fast_is_made_to_wait_and_loses_nothing(mounted: Server) -> None:
    """ws/rated/ takes 10 messages at once and 2 a second."""
    texts = [unique(str(number)) for number in range(13)]
    async with connect(mounted.ws("ws/rated/heard/")) as reader, connect(mounted.ws("ws/rated/")) as sender:
        began = time.monotonic()
        for text in texts:
            await sender.send(text)
        assert await receive(reader, 13) == texts
        assert time.monotonic() - began >= 1.5, "three more than at once"


async def test_what_a_hasty_client_had_sent_before_it_left_is_not_lost(mounted: Server) -> None:
    """Nor does it take as long as the rate would have it: the server would not wait."""
    texts = [unique(str(number)) for number in range(70)]
    async with connect(mounted.ws("ws/rated/heard/")) as reader:
        async with connect(mounted.ws("ws/rated/"), close_timeout=0.1) as sender:
            for text in texts:
                await sender.send(text)
        assert await receive(reader, 70) == texts


@pytest.mark.logs_errors
async def test_z45_an_operation_that_fails_ends_nothing(mounted: Server) -> None:
    async with connect(mounted.ws("ws/ops/")) as socket:
        before = len(mounted.log())
        await socket.send("fail")
        await socket.send("nonsense")
        await socket.send("still here")
        assert await socket.recv() == "STILL HERE"
        log = mounted.log()[before:]
        assert "an operation of Topic('mounted.from_clients') failed" in log
        assert "RuntimeError: an operation that fails" in log
        assert "must return a list of effects or None, not 42" in log


async def test_z69_websockets_and_pages_live_on_one_port(server: Server) -> None:
    async with connect(server.ws("ws/broadcast/")) as a, connect(server.ws("ws/asgi/echo/")) as b:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as browser:
            assert (await browser.get("/accounts/guest/")).status_code == 200
        await a.send("topic")
        await b.send("raw")
        assert await a.recv() == "topic"
        assert await b.recv() == "Echo: raw"
