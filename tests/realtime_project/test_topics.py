"""Topic as a line of Python sees it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator
from django.db import transaction

from benchmarks.services import Redis
from chat.consumers import TopicConsumer
from realtime_project import history
from realtime_project.connections import door
from realtime_project.hub import Hub
from realtime_project.topics import Event, Publish, PublishError, SlowReader, Topic, generate_uid, hub
from tests.layer import subscribed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fresh_hub")]


async def take(events: AsyncIterator[Event], count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [(await anext(events)).content for _ in range(count)]


class Ears:
    """A reader that keeps what it hears."""

    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard

    def write(self, events: Sequence[Event]) -> None:
        self.heard.extend(event.content for event in events)

    async def drain(self) -> None:
        pass


def test_one_name_is_one_topic() -> None:
    name = generate_uid()
    assert Topic(name) is (same := Topic(name))
    with pytest.raises(ValueError, match="declared with history=False elsewhere"):
        Topic(name, history=True)
    assert repr(same) == f"Topic({name!r})"
    with pytest.raises(TypeError, match="a topic's name is a str, not int"):
        Topic(5)  # type: ignore[arg-type]


async def test_every_reader_gets_every_event() -> None:
    topic = Topic(generate_uid())
    async with topic.subscribe() as one, topic.subscribe() as two:
        for content in ("a", b"b", ""):
            await topic.publish(content)
        assert await take(one, 3) == await take(two, 3) == ["a", b"b", ""]
    await asyncio.sleep(0.05)
    assert topic.name not in hub().feeds


async def test_z14_publishing_to_nobody_succeeds() -> None:
    await Topic(generate_uid()).publish("into the void")
    assert await Topic(generate_uid(), history=True).publish("kept") == 1


async def test_a_durable_topic_replays_from_since() -> None:
    topic = Topic(generate_uid(), history=True)
    for number in range(5):
        assert await topic.publish(str(number)) == number + 1
    async with topic.subscribe(since=2) as events:
        await topic.publish("5")
        assert await take(events, 4) == ["2", "3", "4", "5"]


async def test_z13_a_thread_publishes_and_so_does_a_view() -> None:
    plain, durable = Topic(generate_uid()), Topic(generate_uid(), history=True)
    async with plain.subscribe() as heard, durable.subscribe() as kept:
        await asyncio.to_thread(plain.publish_sync, "from a thread")
        assert await asyncio.to_thread(durable.publish_sync, "from a view") == 1
        assert await take(heard, 1) == ["from a thread"]
        assert await take(kept, 1) == ["from a view"]


async def test_z13_another_event_loop_publishes() -> None:
    topic = Topic(generate_uid())
    async with topic.subscribe() as events:
        await asyncio.to_thread(lambda: asyncio.run(topic.publish("from another loop")))
        assert await take(events, 1) == ["from another loop"]
    assert Hub.here
    assert Hub.here.loop is asyncio.get_running_loop()


async def test_a_durable_publish_belongs_to_the_callers_transaction() -> None:
    topic = Topic(generate_uid(), history=True)

    def roll_back() -> None:
        with transaction.atomic():
            topic.publish_sync("never said")
            transaction.set_rollback(True)

    async with topic.subscribe() as events:
        await asyncio.to_thread(roll_back)
        await topic.publish("said")
        assert await take(events, 1) == ["said"]
    assert [event.content for event in (await asyncio.to_thread(history.page, topic.name, 0, None, 9))[1]] == ["said"]


async def test_publish_sync_in_the_event_loop_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="await publish"):
        Topic(generate_uid()).publish_sync("blocks")


async def test_without_a_server_a_plain_publish_says_why(fresh_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "here", None)
    with pytest.raises(PublishError, match="in-memory channel layer reaches only the process that serves"):
        await asyncio.to_thread(Topic(generate_uid()).publish_sync, "nobody")


async def test_threads_of_a_process_that_does_not_serve_publish_side_by_side(
    redis: Redis, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [redis.url]}}}
    topic, source, target = (Topic(generate_uid()) for _ in range(3))
    source.on_publish(lambda content: [Publish(target, content)])

    def publish(thread: int) -> None:
        for number in range(20):
            topic.publish_sync(f"{thread}:{number}")
        source.publish_sync(f"from {thread}")

    listening = Hub([lambda: channel_layers.make_backend("default")], history.Log())  # another process's
    heard: dict[str, list[Any]] = {topic.name: [], target.name: []}
    for name, contents in heard.items():
        (await listening.subscribe(name, Ears(contents))).start()
        await subscribed([redis], name, servers=1)
    monkeypatch.setattr(Hub, "here", None)
    await asyncio.gather(*(asyncio.to_thread(publish, thread) for thread in range(4)))
    assert Hub.here is None
    async with asyncio.timeout(5):
        while len(heard[topic.name]) < 80 or len(heard[target.name]) < 4:
            await asyncio.sleep(0.01)
    assert sorted(heard[topic.name]) == sorted(f"{thread}:{number}" for thread in range(4) for number in range(20))
    assert sorted(heard[target.name]) == [f"from {thread}" for thread in range(4)]
    listening.close()


async def test_a_reader_that_falls_behind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_project.topics.WAITING", 10)
    topic = Topic(generate_uid())
    async with topic.subscribe() as events:
        for number in range(20):
            await topic.publish(str(number))
        await asyncio.sleep(0.05)
        with pytest.raises(SlowReader):
            await take(events, 20)


async def test_operations_run_once_each_and_may_be_async() -> None:
    source, target, audit = Topic(generate_uid()), Topic(generate_uid()), Topic(generate_uid(), history=True)

    @source.on_publish
    async def forward(content: str) -> list[Publish]:
        await asyncio.sleep(0)
        return [Publish(target, content.upper()), Publish(audit, content)]

    source.on_publish(lambda content: None)
    async with target.subscribe() as heard, audit.subscribe() as kept:
        await source.publish("a")
        await asyncio.to_thread(source.publish_sync, "b")
        assert await take(heard, 2) == ["A", "B"]
        assert await take(kept, 2) == ["a", "b"]


async def test_operations_in_a_circle_end(caplog: pytest.LogCaptureFixture) -> None:
    one, two = Topic(generate_uid()), Topic(generate_uid())
    one.on_publish(lambda content: [Publish(two, content)])
    two.on_publish(lambda content: [Publish(one, content)])
    await one.publish("round")
    async with asyncio.timeout(5):
        while "publish in a circle" not in caplog.text:  # a log has no event to wait for
            await asyncio.sleep(0.01)


def test_an_operation_is_a_function() -> None:
    with pytest.raises(TypeError, match="an operation is a function of the content, not str"):
        Topic(generate_uid()).on_publish("not a function")  # type: ignore[arg-type]


async def test_an_endpoint_can_be_tested_with_channels_communicator() -> None:
    topic = Topic(generate_uid())
    endpoint = TopicConsumer.as_asgi(clients_subscribe_to=[topic], clients_push_into=[topic])
    one, two = (WebsocketCommunicator(door(endpoint, endpoint="/ws/test/"), "/ws/test/") for _ in range(2))
    assert (await one.connect())[0]
    assert (await two.connect())[0]
    await one.send_to(text_data="hello")
    assert await two.receive_from() == "hello"
    await one.disconnect()
    await two.disconnect()


def test_another_loop_replaces_the_hub() -> None:
    async def here() -> Hub:
        serving = hub()
        serving.close()
        await asyncio.sleep(0)
        return serving

    assert asyncio.run(here()) is not asyncio.run(here())


async def test_a_publisher_that_gives_up_costs_the_other_topics_nothing() -> None:
    impatient, patient = Topic(generate_uid()), Topic(generate_uid())
    async with patient.subscribe() as events:
        hasty = asyncio.create_task(impatient.publish("never mind"))
        sent = patient.publish_nowait("still sent")
        await asyncio.sleep(0)
        hasty.cancel()
        hub().publish(impatient.name, ["x"]).cancel()
        await asyncio.wait_for(sent, 2)
        assert await take(events, 1) == ["still sent"]
    assert hub().waiting == 0
