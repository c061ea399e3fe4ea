"""The hub and its feeds against a model: whatever is lost, doubled, late or false, every view is the log's suffix,
and what was rewritten in the log is not given to those who come afterwards.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_project import feeds
from realtime_project.feeds import DurableFeed, Event, Subscription
from realtime_project.hub import Hub
from tests.realtime_project.virtual import World, run

TOPIC = "chat.room:1"
EXAMPLES = int(os.environ.get("HUB_SCHEDULES", "400"))

STEPS = ["append", "append", "append quietly", "rewrite", "rewrite quietly", "rewrite here"]
STEPS += ["join", "join", "leave", "rejoin", "lie", "sleep"]

steps = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(0, 9),
        st.sampled_from([0, 0.0005, 0.004, 0.025, 0.3, 2.5]),
    ),
    min_size=5,
    max_size=60,
)


class Client:
    """Joins at a cursor, and writes down what it is given."""

    def __init__(self, world: World, hub: Hub) -> None:
        self.world, self.hub = world, hub
        self.got: list[Event] = []
        self.subscription: Subscription | None = None
        self.base: int | None = None
        self.joining: asyncio.Task[None] | None = None
        self.known = 0  # what this process had heard of when the client came: what was gone by then is not given to it

    def write(self, events: Sequence[Event]) -> None:
        assert self.subscription and self.subscription.open, "written to after it left"
        self.got.extend(events)

    async def drain(self) -> None:
        await self.world.nap()

    async def join(self, since: int | None) -> None:
        feed = self.hub.feeds.get(TOPIC)
        if isinstance(feed, DurableFeed) and feed.last:
            self.known = max(feed.last, self.world.said_here)
        subscription = await self.hub.subscribe(TOPIC, self, durable=True, since=since, epoch="first")
        assert subscription.recovered, (since, subscription.head)
        self.subscription, self.base = subscription, subscription.cursor
        assert since in (None, self.base)
        assert self.base <= subscription.head
        subscription.start()

    def check(self) -> None:
        if self.base is not None:
            offsets = [event.offset for event in self.got]
            assert offsets == list(range(self.base + 1, self.base + 1 + len(offsets))), (self.base, offsets)
            for event in self.got:
                assert event.offset
                assert event.content in self.world.versions(event.offset, self.known), (event, self.known)

    @property
    def last(self) -> int | None:
        return None if self.base is None else self.base + len(self.got)

    def leave(self, hastily: bool) -> None:
        if hastily and self.joining:
            self.joining.cancel()
        if self.subscription:
            self.subscription.close()


async def play(script: list[tuple[str, int, float]], seed: int, trouble: float) -> None:
    world = World(random.Random(seed), trouble)
    hub = Hub([lambda: world], world)
    clients: list[Client] = []

    def join(since: int | None) -> None:
        client = Client(world, hub)
        clients.append(client)
        client.joining = asyncio.create_task(client.join(since))

    for step, number, pause in script:
        if step.startswith("rewrite"):
            bells: Sequence[feeds.Bell] = world.rewrite(len(world.contents) - number)
            if bells and step == "rewrite":
                hub.publish(TOPIC, bells, "first")
            elif bells and step == "rewrite here":
                hub.ring({(TOPIC, "first"): bells})
                await asyncio.sleep(0)
                world.said_here = len(world.contents)
        elif step.startswith("append"):
            bells = world.append(number)
            if bells and step == "append":
                hub.publish(TOPIC, bells, "first")
        elif step == "lie":
            hub.publish(TOPIC, [(len(world.contents) + 1_000, "a lie")], "first" if number % 2 else "another life")
        elif step == "join":
            # up to the very head: the client may know more than this process
            join(None if number == 0 else max(0, len(world.contents) - (number - 1) * 3))
        elif step in ("leave", "rejoin") and clients:
            client = clients[number % len(clients)]
            client.leave(hastily=number > 6)
            client.check()
            if step == "rejoin" and client.last is not None:
                join(client.last)
        await asyncio.sleep(pause)
        for client in clients:
            client.check()

    await asyncio.sleep(60)
    for client in clients:
        client.check()
        assert client.joining
        if client.joining.done() and not client.joining.cancelled():
            client.joining.result()
        if client.subscription and client.subscription.open:
            assert client.last == len(world.contents), "not whole"
            assert client.subscription in hub.feeds[TOPIC].attached, "never attached"

    before = world.queries
    await asyncio.sleep(20)
    assert world.queries - before <= 22, "busy when idle"

    for client in clients:
        client.leave(hastily=True)
    await asyncio.sleep(10)
    assert not hub.feeds, "a feed outlived its members"
    hub.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    script=steps,
    seed=st.integers(0, 2**32),
    trouble=st.sampled_from([0, 0.3, 0.9, 5]),
    page=st.sampled_from([1, 3, 200]),
    recent=st.sampled_from([1, 4, 256]),
    held=st.sampled_from([1, 3, 1000]),
)
def test_every_view_is_the_logs_suffix_once_and_in_order(
    script: list[tuple[str, int, float]], seed: int, trouble: float, page: int, recent: int, held: int
) -> None:
    with (
        mock.patch.object(feeds, "PAGE", page),
        mock.patch.object(feeds, "RECENT", recent),
        mock.patch.object(feeds, "HELD", held),
        mock.patch.object(feeds, "BEHIND", 10**6),
    ):
        run(play(script, seed, trouble))
