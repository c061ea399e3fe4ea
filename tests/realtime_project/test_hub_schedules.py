"""The hub and its feeds against a model: whatever is lost, doubled, late or false, every view is the log's suffix,
and what was rewritten in the log is not given to those who come afterwards. Layers go deaf and come back, logs are
restored and trimmed: whoever cannot be given what is missing is told to reload, and nobody else is.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from realtime_project import feeds
from realtime_project.feeds import DurableFeed, Event, Subscription
from realtime_project.hub import Hub
from tests.realtime_project.virtual import World, run

TOPIC, PLAIN = "chat.room:1", "plain"
HERE = "here"  # the server whose hub is looked at
EXAMPLES = int(os.environ.get("HUB_SCHEDULES", "400"))

CALM = ["append", "append", "append quietly", "rewrite", "rewrite quietly", "rewrite here"]
CALM += ["join", "join", "leave", "rejoin", "lie", "sleep", "private", "private here", "say"]
LAYER = ["deaf", "silent", "broken", "come back", "forget groups"]
LOG = ["restore", "restore and forget", "trim", "trim all", "database away", "database back", "late bell"]
PAUSES = st.sampled_from([0, 0.0005, 0.004, 0.025, 0.3, 2.5])

Script = list[tuple[str, int, float]]


def scripts(kinds: list[str]) -> st.SearchStrategy[Script]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 9), PAUSES), min_size=5, max_size=60)


class Client:
    """Joins at a cursor, and writes down what it is given. Told to reload, it begins anew at the head it is told."""

    def __init__(self, world: World, hub: Hub) -> None:
        self.world, self.hub = world, hub
        self.got: list[Event] = []
        self.subscription: Subscription | None = None
        self.base: int | None = None
        self.joining: asyncio.Task[None] | None = None
        self.known = 0  # what this process had heard of when the client came: what was gone by then is not given to it
        self.due = False  # it has seen more than there is: it has to be told
        self.epoch = ""

    def write(self, events: Sequence[Event]) -> None:
        assert self.subscription and self.subscription.open, "written to after it left"
        self.got.extend(events)

    async def drain(self) -> None:
        await self.world.nap()

    async def join(self, since: int | None, epoch: str) -> None:
        feed = self.hub.feeds.get(TOPIC)
        if isinstance(feed, DurableFeed) and feed.last and len(self.world.lives) == 1:
            self.known = max(feed.last, self.world.said_here)
        try:
            subscription = await self.hub.subscribe(
                TOPIC, self, durable=True, since=since, epoch=epoch, on_reset=self.reload
            )
        except ConnectionError:  # whether `since` can be kept was not known, and who asked is told so
            assert self.world.database_failed
            return
        self.subscription, self.base = subscription, subscription.cursor
        self.epoch = subscription.epoch
        self.due = self.ahead()
        if not subscription.recovered:
            assert len(self.world.lives) > 1, (since, subscription.head)
        elif since is not None:
            assert since == self.base
            assert epoch == subscription.epoch
        assert self.base <= subscription.head
        subscription.start()

    def reload(self, subscription: Subscription) -> None:
        assert subscription.open, "told to reload after it left"
        assert self.world.trimmed or len(self.world.lives) > 1, "told to reload for nothing"
        self.got, self.base, self.epoch = [], subscription.head, subscription.epoch
        self.known, self.due = 0, self.ahead()

    def ahead(self) -> bool:
        """Whether it begins where the log has not come to by now: it has to be told again."""
        return (self.base or 0) > len(self.world.contents) or self.epoch != self.world.epoch

    def check(self) -> None:
        if self.base is not None:
            offsets = [event.offset for event in self.got]
            assert offsets == list(range(self.base + 1, self.base + 1 + len(offsets))), (self.base, offsets)
            for event in self.got:
                assert event.offset
                lives = self.world.lives
                said = [text for life in lives for text in life.versions(event.offset, self.known)]
                assert event.content in said, (event, self.known)

    def check_end(self) -> None:
        """Long after the last trouble: all that the log holds, of this life of it."""
        assert self.subscription
        assert not self.due, "ahead of the log, and was not told"
        assert self.last == len(self.world.contents), "not whole"
        assert self.epoch == self.world.epoch, "of another life"
        assert self.subscription in self.hub.feeds[TOPIC].attached, "never attached"
        life = self.world.lives[-1]
        for event in self.got:
            assert event.content in life.versions(event.offset or 0, self.known), "of a life that has ended"

    @property
    def last(self) -> int | None:
        return None if self.base is None else self.base + len(self.got)

    def leave(self, hastily: bool) -> None:
        if hastily and self.joining:
            self.joining.cancel()
        if self.subscription:
            self.subscription.close()


class Player:
    """One schedule: a hub, its clients, and another process that publishes."""

    def __init__(self, seed: int, trouble: float) -> None:
        self.world = World(random.Random(seed), trouble)
        self.made = 0
        self.private: list[tuple[str, Any]] = []
        self.privately_said: list[tuple[str, str]] = []
        self.hub = Hub([self.make_layer], self.world, HERE, self.hear_privately)
        self.other = Hub([lambda: self.world], self.world, "there", self.misled)
        self.clients: list[Client] = []
        self.heard: list[Any] = []
        self.late: list[tuple[Sequence[Any], str]] = []  # doorbells that ring in a life to come
        self.calm = trouble == 0  # nothing that was said to plain or private topics may be missing

    def make_layer(self) -> World:
        self.made += 1
        if self.made > 1:  # a new layer object has connections of its own
            self.world.deaf = self.world.silent = False
            self.world.groups.clear()
        return self.world

    def hear_privately(self, name: str, contents: Sequence[Any]) -> None:
        self.private += [(name, content) for content in contents]

    def misled(self, name: str, contents: Sequence[Any]) -> None:
        raise AssertionError(f"{name!r} came to another server")

    # a reader of the plain topic ------------------------------------------------------------------------------
    def write(self, events: Sequence[Event]) -> None:
        self.heard += [event.content for event in events]

    async def drain(self) -> None:
        await self.world.nap()

    # steps ----------------------------------------------------------------------------------------------------
    def ring(self, bells: Sequence[Any]) -> None:
        if bells:
            self.publish(TOPIC, bells, self.world.epoch)

    def publish(self, name: str, events: Sequence[Any], epoch: str | None = None) -> None:
        self.other.publish(name, events, epoch)

    def join(self, since: int | None, epoch: str) -> None:
        client = Client(self.world, self.hub)
        self.clients.append(client)
        client.joining = asyncio.create_task(client.join(since, epoch))

    def say_privately(self, hub: Hub) -> tuple[str, str]:
        said = (f"conn.out:{HERE}:{len(self.privately_said) % 3}", f"{len(self.privately_said)} by {hub.server}")
        self.privately_said.append(said)
        hub.publish(said[0], [said[1]])
        return said

    async def step(self, step: str, number: int) -> None:
        world = self.world
        match step:
            case "append":
                self.ring(world.append(number))
            case "append quietly":
                world.append(number)
            case "late bell":
                self.late.append((world.append(number), world.epoch))
            case "rewrite":
                self.ring(world.rewrite(len(world.contents) - number))
            case "rewrite quietly":
                world.rewrite(len(world.contents) - number)
            case "rewrite here":
                if bells := world.rewrite(len(world.contents) - number):
                    self.hub.ring({(TOPIC, world.epoch): bells})
                    await asyncio.sleep(0)
                    world.said_here = len(world.contents)
            case "lie":
                epoch = world.epoch if number % 2 else "another life"
                self.publish(TOPIC, [(len(world.contents) + 1_000, "a lie")], epoch)
            case "join":
                # up to the very head: the client may know more than this process
                since = None if number == 0 else max(world.trimmed, len(world.contents) - (number - 1) * 3)
                self.join(since, world.epoch)
            case "leave" | "rejoin" if self.clients:
                client = self.clients[number % len(self.clients)]
                client.leave(hastily=number > 6)
                client.check()
                if step == "rejoin" and client.last is not None:
                    self.join(client.last, client.epoch)
            case "private":
                self.say_privately(self.other)
            case "private here":
                said = self.say_privately(self.hub)
                assert self.private.pop() == self.privately_said.pop() == said, "it needs no layer"
            case "say":
                self.publish(PLAIN, [f"said {number}"])
            case "deaf":
                world.deaf, self.calm = True, False
            case "silent":
                world.silent, self.calm = True, False
            case "broken":
                world.broken, self.calm = True, False
            case "forget groups":
                self.calm = False
                world.groups.clear()
            case "come back":
                world.come_back()
            case "restore" | "restore and forget":
                await self.restore(number, another=step == "restore")
            case "trim":
                world.trim(number)
            case "trim all":
                world.trim(0)
            case "database away":
                world.log_away = world.database_failed = True
            case "database back":
                world.log_away = False

    async def restore(self, number: int, another: bool) -> None:
        world = self.world
        if not another:  # it can be noticed only as long as the log has not grown to where it was
            world.log_away = False
            await asyncio.sleep(30)
            if number == 0 or not world.contents:
                return
        world.restore(number, f"life {len(world.lives) + 1}" if another else None)
        for client in self.clients:
            ahead = (client.last or 0) > len(world.contents) or another
            if client.subscription and client.subscription.open and ahead:
                client.due = True
        if not another:
            await asyncio.sleep(30)
        elif number % 2:  # it grows past what was there before anybody looks
            self.ring(world.append(number + 3))
        for bells, epoch in self.late:
            if bells and another:
                self.publish(TOPIC, bells, epoch)
        self.late.clear()


async def play(script: Script, seed: int, trouble: float) -> None:
    player = Player(seed, trouble)
    world, hub, clients = player.world, player.hub, player.clients
    plain = await hub.subscribe(PLAIN, player)
    plain.start()
    await asyncio.sleep(1)
    for step, number, pause in script:
        await player.step(step, number)
        await asyncio.sleep(pause)
        for client in clients:
            client.check()

    world.come_back()
    world.log_away = False
    await asyncio.sleep(60)
    for client in clients:
        client.check()
        assert client.joining
        if client.joining.done() and not client.joining.cancelled():
            client.joining.result()
        if client.subscription and client.subscription.open:
            client.check_end()

    await check_plain_and_private(player)

    before = world.queries
    await asyncio.sleep(20)
    assert world.queries - before <= 22, "busy when idle"

    plain.close()
    for client in clients:
        client.leave(hastily=True)
    await asyncio.sleep(10)
    assert not hub.feeds, "a feed outlived its members"
    hub.close()


async def check_plain_and_private(player: Player) -> None:
    """Whatever happened to the layer, it carries again; and while nothing did, nothing was lost or came twice."""
    assert player.hub.seats[0].hears or player.world.trouble > 4, "deaf"  # no group can then ever be joined
    assert set(player.private) <= set(player.privately_said)
    if player.calm:  # in the order of each topic: what waits for the layer meanwhile goes there topic by topic
        assert in_topics(player.private) == in_topics(player.privately_said)
    if player.world.trouble == 0:
        player.say_privately(player.other)
        player.publish(PLAIN, ["at the end"])
        await asyncio.sleep(1)
        assert player.private[-1:] == player.privately_said[-1:], "private topics do not come through"
        assert player.heard[-1:] == ["at the end"], "plain topics do not come through"


def in_topics(told: Sequence[tuple[str, Any]]) -> dict[str, list[Any]]:
    topics: dict[str, list[Any]] = {}
    for name, content in told:
        topics.setdefault(name, []).append(content)
    return topics


def check(script: Script, seed: int, trouble: float, page: int, recent: int, held: int) -> None:
    with (
        mock.patch.object(feeds, "PAGE", page),
        mock.patch.object(feeds, "RECENT", recent),
        mock.patch.object(feeds, "HELD", held),
        mock.patch.object(feeds, "BEHIND", 10**6),
    ):
        run(play(script, seed, trouble))


schedules = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
conditions: dict[str, Any] = {
    "seed": st.integers(0, 2**32),
    "trouble": st.sampled_from([0, 0.3, 0.9, 5]),
    "page": st.sampled_from([1, 3, 200]),
    "recent": st.sampled_from([1, 4, 256]),
    "held": st.sampled_from([1, 3, 1000]),
}


@schedules
@example(script=[("lie", 0, 0)] + [("private", 0, 0)] * 4, seed=0, trouble=0, page=1, recent=1, held=1)
@given(script=scripts(CALM), **conditions)
def test_every_view_is_the_logs_suffix_once_and_in_order(script: Script, **conditions: Any) -> None:
    check(script, **conditions)


@schedules
@given(script=scripts(CALM + LAYER), **conditions)
def test_so_it_is_when_the_layer_goes_deaf_and_everything_comes_through_afterwards(
    script: Script, **conditions: Any
) -> None:
    check(script, **conditions)


@schedules
@given(script=scripts(CALM + LOG + LAYER), **conditions)
def test_so_it_is_when_logs_are_restored_and_trimmed_and_whoever_misses_something_is_told(
    script: Script, **conditions: Any
) -> None:
    check(script, **conditions)
