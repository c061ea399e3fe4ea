"""The hub, one rule a test, on virtual time with a layer and a log that can be broken."""

import asyncio
import gc
import logging
import random
import weakref
from collections.abc import Sequence
from typing import Any, cast

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer  # type: ignore[import-untyped]

from realtime_project import feeds
from realtime_project.crowd import PART
from realtime_project.feeds import Event, Subscription
from realtime_project.figures import counters
from realtime_project.hub import LIMIT, SWEEP, Hub, Layer, PublishError
from tests.realtime_project.virtual import World, run

ROOM = "chat.room:1"


class Reader:
    def __init__(self) -> None:
        self.got: list[Event] = []

    def write(self, events: Sequence[Event]) -> None:
        self.got.extend(events)

    async def drain(self) -> None:
        pass

    @property
    def contents(self) -> list[Any]:
        return [event.content for event in self.got]


class Readers:
    """A world, a hub, and as many readers as a test wants."""

    def __init__(self) -> None:
        self.world = World(random.Random(1))
        self.layers = 0
        self.hub = Hub([self.make_layer], self.world)

    def make_layer(self) -> World:
        self.layers += 1
        if self.layers > 1:  # a new layer object has connections of its own
            self.world.deaf = self.world.silent = False
            self.world.groups.clear()
        return self.world

    async def reader(self, durable: bool = True, **options: Any) -> tuple[Reader, Subscription]:
        reader = Reader()
        subscription = await self.hub.subscribe(ROOM if durable else "plain", reader, durable=durable, **options)
        subscription.start()
        return reader, subscription


def test_what_is_published_in_one_turn_is_one_send_a_topic() -> None:
    async def play() -> None:
        it = Readers()
        one, _ = await it.reader(durable=False)
        for number in range(50):
            it.hub.publish("plain", [str(number)])
        it.hub.publish("other", ["x"])
        await asyncio.sleep(1)
        bells = [message for _, message in it.world.sent if message["type"] == "bell"]
        assert [(bell["topic"], len(bell["events"])) for bell in bells] == [("plain", 50), ("other", 1)]
        assert one.contents == [str(number) for number in range(50)]

    run(play())


@pytest.mark.parametrize("durable", [False, True])
def test_much_in_one_turn_is_sent_in_parts_in_order(durable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_project.hub.PART", 10)

    async def play() -> None:
        it = Readers()
        contents: list[str | bytes] = ["aaaaa", b"bbbbb", "c", "d" * 11, "e", "f" * 10]
        sent = [
            it.hub.publish("plain", [content]) if not durable else it.hub.publish(ROOM, [(offset, content)], "first")
            for offset, content in enumerate(contents, 1)
        ]
        await sent[-1]
        parts = [message["events"] for _, message in it.world.sent if message["type"] == "bell"]
        assert [len(part) for part in parts] == [2, 1, 1, 1, 1]
        assert [event[1] if durable else event for part in parts for event in part] == contents
        assert it.hub.waiting == it.hub.seats[0].waiting_size == 0

    run(play())


def test_who_publishes_is_told_when_a_part_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_project.hub.PART", 10)

    async def play() -> None:
        it = Readers()
        it.world.nap = lambda: asyncio.sleep(0.1)  # type: ignore[method-assign]
        sent = [it.hub.publish("plain", [letter * 10]) for letter in "abc"]
        before = counters.drops
        await asyncio.sleep(0.15)  # the second is under way
        it.world.broken = True
        with pytest.raises(PublishError, match="did not take the message"):
            await sent[0]
        taken = [message["events"] for _, message in it.world.sent if message["type"] == "bell"]
        assert taken == [["a" * 10], ["b" * 10]]
        assert counters.drops == before + 1

    run(play())


def test_what_is_published_while_a_send_is_under_way_goes_together() -> None:
    async def play() -> None:
        it = Readers()
        await it.reader(durable=False)
        it.world.nap = lambda: asyncio.sleep(0.01)  # type: ignore[method-assign]
        first = it.hub.publish("plain", ["1"])
        await asyncio.sleep(0.005)
        it.hub.publish("plain", ["2"])
        second = it.hub.publish("plain", ["3"])
        await first
        await second
        assert it.hub.seats[0].sends == 2

    run(play())


def test_an_event_is_made_once_for_all_its_subscribers() -> None:
    async def play() -> None:
        it = Readers()
        readers = [(await it.reader(durable=False))[0] for _ in range(3)]
        it.hub.publish("plain", ["same"])
        await asyncio.sleep(1)
        assert len({id(event.message) for reader in readers for event in reader.got}) == 1

    run(play())


def test_one_reader_that_fails_costs_the_others_nothing() -> None:
    class Broken(Reader):
        def write(self, events: Sequence[Event]) -> None:
            raise RuntimeError("broken")

    async def play() -> None:
        it = Readers()
        good, _ = await it.reader()
        broken = await it.hub.subscribe(ROOM, Broken(), durable=True)
        broken.start()
        other, _ = await it.reader()
        it.hub.publish(ROOM, it.world.append(3), "first")
        await asyncio.sleep(1)
        assert good.contents == other.contents == it.world.contents
        assert not broken.open

    run(play())


def test_without_a_layer_durable_topics_live_by_the_sweep() -> None:
    async def play() -> None:
        it = Readers()
        it.world.broken = True
        reader, _ = await it.reader()
        it.world.append(2)
        await asyncio.sleep(SWEEP + 1)
        assert reader.contents == it.world.contents

    run(play())


def test_when_the_layer_returns_so_do_plain_topics() -> None:
    async def play() -> None:
        it = Readers()
        it.world.broken = True
        reader, _ = await it.reader(durable=False)  # joins as soon as it can
        it.world.broken = False
        await asyncio.sleep(3 * SWEEP)
        it.hub.publish("plain", ["back"])
        await asyncio.sleep(1)
        assert reader.contents == ["back"]

    run(play())


@pytest.mark.parametrize("silent", [False, True])
def test_a_deaf_seat_is_replaced_with_a_new_layer_object(silent: bool) -> None:
    async def play() -> None:
        it = Readers()
        reader, _ = await it.reader(durable=False)
        await asyncio.sleep(2 * SWEEP)
        assert it.hub.seats[0].reseats == 0
        it.world.deaf, it.world.silent = True, silent
        await asyncio.sleep(3 * SWEEP)
        assert it.layers == 2
        assert it.hub.seats[0].name == "seat-2"
        it.hub.publish("plain", ["heard again"])
        await asyncio.sleep(1)
        assert reader.contents == ["heard again"]

    run(play())


async def test_layers_that_are_not_used_any_more_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # a record that is kept keeps the error, and with it the layer
    monkeypatch.setattr("realtime_project.hub.SWEEP", 0.02)
    made: list[weakref.ref[Any]] = []

    def make_layer() -> Layer:
        layer = RedisPubSubChannelLayer(hosts=["redis://127.0.0.1:1/0"])  # nobody is there
        made.append(weakref.ref(layer))
        return cast(Layer, layer)

    hub = Hub([make_layer], World(random.Random(1)))
    hub.start()
    async with asyncio.timeout(30):
        while len(made) < 20:
            await asyncio.sleep(0.02)
    hub.close()
    gc.collect()
    assert sum(layer() is not None for layer in made) <= 5  # the first, the last, and those that are being closed


@pytest.mark.parametrize("durable", [False, True])
def test_a_bell_of_the_other_kind_costs_the_other_topics_nothing(
    durable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        it = Readers()
        await it.reader(durable=durable)
        other = Reader()
        (await it.hub.subscribe("other", other)).start()
        if durable:
            it.hub.publish(ROOM, ["x"])  # by a process that takes the topic for a plain one
        else:
            it.hub.publish("plain", [(1, "x")], "first")
        it.hub.publish("other", ["heard"])
        await asyncio.sleep(1)
        assert other.contents == ["heard"]
        assert "is not understood" in caplog.text
        assert it.hub.seats[0].reseats == 0

    run(play())


def test_a_layer_that_does_not_answer_fails_the_publisher_within_its_limit() -> None:
    async def play() -> None:
        it = Readers()
        it.world.silent = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(PublishError, match="did not take the message"):
            await it.hub.publish("plain", ["x"])
        assert asyncio.get_running_loop().time() - began <= LIMIT + 0.1

    run(play())


def test_what_waits_for_the_layer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_project.hub.OUTBOX", 100)

    async def play() -> None:
        it = Readers()
        it.hub.publish("plain", ["x"] * 100)
        with pytest.raises(PublishError, match="100 messages already wait"):
            it.hub.publish("plain", ["one more"])
        await asyncio.sleep(1)
        await it.hub.publish("plain", ["room again"])

    run(play())


def test_who_comes_when_the_last_one_has_left_before_the_group_was_joined_misses_nothing() -> None:
    async def play() -> None:
        it = Readers()
        await it.reader()  # there is a seat
        await asyncio.sleep(0.5)
        it.world.nap = lambda: asyncio.sleep(0.03)  # type: ignore[method-assign]
        hasty = asyncio.create_task(it.reader(durable=False))
        await asyncio.sleep(0.01)
        hasty.cancel()  # a page that is loaded again
        await asyncio.sleep(0.01)
        reader, _ = await it.reader(durable=False)
        for number in range(40):
            it.hub.publish("plain", [str(number)])
            await asyncio.sleep(0.005)
        await asyncio.sleep(1)
        assert reader.contents == [str(number) for number in range(40)]

    run(play())


def test_what_waits_for_the_layer_is_bounded_by_its_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_project.hub.OUTBOX_SIZE", 100)

    async def play() -> None:
        it = Readers()
        it.hub.publish("plain", ["x" * 1_000])  # one alone may be larger
        with pytest.raises(PublishError, match="1 messages already wait"):
            it.hub.publish("plain", ["one more"])
        await asyncio.sleep(1)
        await it.hub.publish("plain", ["room again"])

    run(play())


def test_another_life_of_the_log_tells_every_member_to_reload() -> None:
    async def play() -> None:
        it = Readers()
        it.world.append(10)
        resets: list[tuple[int, str, bool]] = []

        def note(subscription: Subscription) -> None:
            resets.append((subscription.head, subscription.epoch, subscription.recovered))

        reader, _ = await it.reader(on_reset=note)
        await asyncio.sleep(1)  # what it asks when it has joined is answered
        it.world.contents, it.world.epoch = it.world.contents[:4], "second"  # a backup was restored
        await asyncio.sleep(SWEEP + 1)
        assert resets == [(4, "second", False)]
        it.hub.publish(ROOM, it.world.append(1), "second")
        await asyncio.sleep(1)
        assert [event.offset for event in reader.got] == [5]

    run(play())


def test_a_backup_that_has_grown_past_us_unseen_is_noticed_all_the_same() -> None:
    async def play() -> None:
        it = Readers()
        it.world.append(3)
        resets: list[Subscription] = []
        reader, _ = await it.reader(on_reset=resets.append)
        await asyncio.sleep(1)
        it.world.contents, it.world.epoch = ["another past"] * 5, "second"
        it.hub.publish(ROOM, [(5, "another past")], "second")
        await asyncio.sleep(1)
        assert len(resets) == 1
        assert reader.got == []

    run(play())


def test_a_topic_is_durable_or_plain_but_not_both() -> None:
    async def play() -> None:
        it = Readers()
        await it.reader(durable=False)
        with pytest.raises(ValueError, match="is plain, and was subscribed to as the other"):
            await it.hub.subscribe("plain", Reader(), durable=True)

    run(play())


def test_a_large_delivery_lets_the_loop_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "DELIVERING", 0)

    async def play() -> None:
        it = Readers()
        readers = [(await it.reader(durable=False))[0] for _ in range(3 * PART)]
        it.world.nap = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
        it.hub.publish("plain", ["x"])
        async with asyncio.timeout(1):
            while not any(reader.got for reader in readers):
                await asyncio.sleep(0)
        assert sum(bool(reader.got) for reader in readers) == PART
        late = (await it.reader(durable=False))[0]
        await asyncio.sleep(1)
        assert all(reader.contents == ["x"] for reader in readers)
        assert late.contents == [], "whoever came after the event, while others were given it"
        it.hub.publish("plain", ["y"])
        await asyncio.sleep(1)
        assert all(reader.contents == ["x", "y"] for reader in readers)
        assert late.contents == ["y"]

    run(play())


async def test_busy_topics_share_what_deliveries_may_take_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1.0
    monkeypatch.setattr(feeds, "monotonic", lambda: now)
    share = feeds.Share(asyncio.get_running_loop())
    first = share.end()
    now += feeds.DELIVERING
    assert share.end() == first == 1.0 + feeds.DELIVERING, "the second topic has what the first has left"
    await asyncio.sleep(0)
    assert share.end() == now + feeds.DELIVERING


def test_a_thousand_joins_and_leaves_leave_nothing_behind() -> None:
    async def play() -> None:
        it = Readers()
        for number in range(1_000):
            _, subscription = await it.reader(durable=bool(number % 2))
            subscription.close()
        await asyncio.sleep(5)
        assert it.hub.feeds == {}
        assert {group for group, seats in it.world.groups.items() if seats} == {it.hub.seats[0].group}
        assert len(asyncio.all_tasks()) <= 4  # this one, the seat's reader, the sweep, a ring

    run(play())


def test_whoever_is_behind_a_log_that_was_trimmed_altogether_is_told_and_nobody_asks_for_ever() -> None:
    async def play() -> None:
        it = Readers()
        it.world.append(3)
        resets: list[int] = []
        await it.reader(on_reset=lambda subscription: resets.append(subscription.head))
        await asyncio.sleep(0.5)
        it.world.append(4)
        it.world.trim(0)  # a process that was frozen for longer than events are kept
        await asyncio.sleep(2 * SWEEP)
        assert resets == [7]
        before = it.world.queries
        await asyncio.sleep(10 * SWEEP)
        assert it.world.queries - before <= 10

    run(play())


def test_an_answer_from_a_life_that_has_ended_is_not_believed() -> None:
    async def play() -> None:
        it = Readers()
        it.world.append(9)
        resets: list[tuple[int, str]] = []
        _, subscription = await it.reader(on_reset=lambda it: resets.append((it.head, it.epoch)))
        await asyncio.sleep(1)
        feed = it.hub.feeds[ROOM]
        assert isinstance(feed, feeds.DurableFeed)
        life, last = feed.life, feed.last
        it.world.restore(5, "second")
        await asyncio.sleep(SWEEP)
        feed.seen(last, life, 9, "first")  # it was long under way
        await asyncio.sleep(1)
        assert resets == [(4, "second")]
        assert subscription.open

    run(play())


def test_a_reader_that_fails_when_it_is_told_to_reload_costs_the_others_nothing() -> None:
    def fail(subscription: Subscription) -> None:
        raise RuntimeError("broken")

    async def play() -> None:
        it = Readers()
        it.world.append(9)
        told: list[Subscription] = []
        subscriptions = [(await it.reader(on_reset=note))[1] for note in (fail, told.append, fail, told.append)]
        await asyncio.sleep(1)
        it.world.restore(5, "second")
        await asyncio.sleep(SWEEP)
        assert [subscription.open for subscription in subscriptions] == [False, True, False, True]
        assert len(told) == 2

    run(play())
