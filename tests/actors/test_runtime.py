"""Stored actors against a model: whatever happens to them and to their process, what was answered is what is stored.

In process, with the real database and a clock that the test moves.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from actors import keeper, performers, runtime, sessions
from actors.consumers import Setup
from actors.effects import EVENT, EventTimeout, Publish, Schedule, Write
from actors.machine import Machine
from actors.messages import ClientDisconnected, Decoder, Timeout
from actors.models import ActorSession
from actors.rules import Rules
from actors.runtime import Actor, Kept
from actors.states import Done, State
from actors.store import Store
from actors.stored import Codec, Own
from realtime_project.commits import Commits, Unsure, commits
from realtime_project.feeds import Event
from realtime_project.hub import Hub
from realtime_project.private import SERVER
from realtime_project.topics import Topic

LATER = 1_000_000_000.0  # what makes the test's clock seconds since 1970
left = Store("tests.left")


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time a test moves on."""

    moved = 0.0

    def time(self) -> float:
        return self.moved


class Counting(State, frozen=True):
    topic_out: Topic
    session: str = ""
    count: int = 0


rules = Rules()


def changed(state: Counting, by: int) -> Counting:
    return Counting(state.topic_out, state.session, state.count + by)


@rules.on("add", Counting)
def add(message: str, state: Counting) -> Any:
    return [Publish(state.topic_out, str(state.count + 1))], changed(state, 1)


@rules.on("fail", Counting)
def fail(message: str, state: Counting) -> Any:
    raise RuntimeError("as it should")


@rules.on("fail late", Counting)
def fail_late(message: str, state: Counting) -> Any:
    return [Publish(state.topic_out, "never"), Write(left.set_sync, 42, "no key")], changed(state, 1_000)


@rules.on("nonsense", Counting)
def nonsense(message: str, state: Counting) -> Any:
    return [Publish(state.topic_out, "never"), 42], changed(state, 1_000)


@rules.on(int, Counting)
def alarm(message: int, state: Counting) -> Any:
    return [Schedule("alarm", after=message)], state


@rules.on(Timeout("alarm"), Counting)
def rang(message: Timeout, state: Counting) -> Any:
    return [Publish(state.topic_out, "rang")], changed(state, 100)


@rules.on(float, Counting)
def clock(message: float, state: Counting) -> Any:
    return [Schedule("tick", after=message)], state


@rules.on(Timeout("tick"), Counting)
def ticked(message: Timeout, state: Counting) -> Any:
    """Nothing is other than before, but that the timer is gone: it may not run out once more."""
    return [Publish(state.topic_out, "tock")], state


@rules.on("hush", Counting)
def hush(message: str, state: Counting) -> Any:
    return [EventTimeout(1_000)], state


@rules.on("done", Counting)
def done(message: str, state: Counting) -> Any:
    return [], Done()


@rules.on(ClientDisconnected, Counting)
def leave(message: ClientDisconnected, state: Counting) -> Any:
    return [Write(left.incr_sync, state.session)], state


codec = Codec(rules, (Counting,), ())


class Client:
    """What an actor sees of a connection."""

    endpoint = "/ws/tests/"

    def __init__(self, number: int) -> None:
        self.id = f"connection-{number}"
        self.sent: list[Any] = []
        self.closed: int | None = None

    def write(self, events: Sequence[Event]) -> None:
        self.sent += [event.content for event in events]

    async def drain(self) -> None: ...

    def close_soon(self, code: int, reason: str = "") -> None:
        self.closed = self.closed or code


async def arrived(client: Client, token: str | None = None) -> tuple[Actor, sessions.Opened]:
    """A client with its actor, which has begun or was found again."""
    topic_out = Topic(f"out.{client.id}")
    own = Own(Topic(f"in.{client.id}"), topic_out)
    state, timers = Counting(topic_out), None
    first = codec.encode(state, own)
    claim = sessions.Claim(client.id, SERVER, client.endpoint, None, token, sessions.new_token(), 1, first)
    opened = await commits().write(sessions.open_all, claim)
    if opened.is_resumed:
        state = codec.decode(opened.state, opened.version, own)
        timers = codec.decode_timers(opened.timers, LATER)
    state = Counting(state.topic_out, opened.session.id, state.count)
    actor = Actor(Machine(rules, state, timers), own, client, Kept(opened.session, codec, own))
    await actor.begin(opened.is_resumed)
    return actor, opened


def gone(code: int) -> Any:
    return ClientDisconnected(connection="", server="", client_ip="", path="", time=None, code=code)  # type: ignore[arg-type]


async def stopped(actor: Actor) -> None:
    actor.stop()


class Expected:
    """What the model knows of a session."""

    def __init__(self, token: str, id: str) -> None:
        self.token, self.id = token, id
        self.count = self.left = 0
        self.due: dict[str, float] = {}  # what is heard → when
        self.over = False


class Life:
    """A client with its actor, as one process has them."""

    def __init__(self, actor: Actor, client: Client, session: Expected) -> None:
        self.actor, self.client, self.session = actor, client, session

    @property
    def is_owner(self) -> bool:
        return not self.actor.stopped and self.session.__dict__.get("life") is self


class Outage:
    """The database refuses the next so many lists of saves."""

    left = 0
    save_all = staticmethod(sessions.save_all)

    @classmethod
    def refuse(cls, saves: list[sessions.Save]) -> list[Any]:
        if cls.left:
            cls.left -= 1
            raise OperationalError("away")
        return cls.save_all(saves)


class Actors(RuleBasedStateMachine):
    lives = Bundle("lives")
    known = Bundle("known")  # sessions

    def __init__(self) -> None:
        super().__init__()
        self.loop = Clock()
        asyncio.set_event_loop(self.loop)
        Commits.here = None
        self.numbers = iter(range(1_000_000))
        self.sessions: list[Expected] = []

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, None))

    def teardown(self) -> None:
        async def end() -> None:
            for session in self.sessions:
                if life := getattr(session, "life", None):
                    life.actor.stop()
            await asyncio.sleep(0)
            await commits().finish()

        self.run(end())
        Commits.here = None
        self.loop.close()
        asyncio.set_event_loop(None)
        ActorSession.objects.all().delete()

    # what happens -------------------------------------------------------------------------------------------------
    def come(self, token: str | None) -> tuple[Actor, Client, sessions.Opened]:
        client = Client(next(self.numbers))
        actor, opened = self.run(arrived(client, token))
        return actor, client, opened

    @rule(target=lives)
    def connect(self) -> Life:
        actor, client, opened = self.come(None)
        assert not opened.is_resumed
        session = Expected(opened.token or "", opened.session.id)
        self.sessions.append(session)
        session.life = life = Life(actor, client, session)  # type: ignore[attr-defined]
        return life

    @rule(target=lives, life=lives)
    def come_back(self, life: Life) -> Any:
        """With the token, whether the former connection is still there or not."""
        session = life.session
        actor, client, opened = self.come(session.token)
        if session.over:
            assert not opened.is_resumed
            self.run(stopped(actor))
            ActorSession.objects.filter(pk=opened.session.id).delete()
            return multiple()
        assert opened.is_resumed
        assert opened.session.id == session.id
        assert actor.state.count == session.count, "found as it was left"
        session.life = fresh = Life(actor, client, session)  # type: ignore[attr-defined]
        self.settle()
        return fresh

    @rule(life=lives, word=st.sampled_from(["add", "fail", "fail late", "nonsense", "unheard of", 3, 7, 4.0]))
    def tell(self, life: Life, word: Any) -> None:
        was_owner, before = life.is_owner, len(life.client.sent)
        self.run(life.actor.tell(word))
        if was_owner and word == "add":
            life.session.count += 1
            assert life.client.sent[before:] == [str(life.session.count)]
        else:
            assert life.client.sent[before:] == [], "nothing of what failed, or of who is no longer the owner"
        if was_owner and isinstance(word, int | float):
            life.session.due["rang" if isinstance(word, int) else "tock"] = self.loop.moved + word

    @rule(life=lives, failures=st.integers(1, 6))
    def tell_while_the_database_is_away(self, life: Life, failures: int) -> None:
        """For a while, which nobody notices; or for longer: then it has not happened, and the client is told so."""
        was_owner, before = life.is_owner, len(life.client.sent)
        Outage.left = failures
        self.run(life.actor.tell("add"))
        Outage.left = 0
        if was_owner and failures <= len(runtime.PAUSES):
            life.session.count += 1
            assert life.client.sent[before:] == [str(life.session.count)]
        else:
            assert life.client.sent[before:] == []
            assert not was_owner or life.client.closed == runtime.LATER

    @rule(life=lives)
    def finish(self, life: Life) -> None:
        if life.is_owner:
            life.session.over = True
        self.run(life.actor.tell("done"))
        assert life.actor.stopped

    @rule(life=consumes(lives), code=st.sampled_from([1000, 1006]))
    def drop(self, life: Life, code: int) -> None:
        if life.is_owner:
            life.session.left += 1
        self.run(life.actor.leave(gone(code)))
        assert life.actor.stopped

    @rule(life=consumes(lives), turns=st.integers(0, 6), words=st.lists(st.just("add"), max_size=3))
    def crash(self, life: Life, turns: int, words: list[str]) -> None:
        """Its process ends in the middle of something."""
        was_owner, before = life.is_owner, len(life.client.sent)

        async def end() -> None:
            for word in words:
                life.actor.tell_soon(word)
            for _ in range(turns):
                await asyncio.sleep(0)
            life.actor.stop()
            await asyncio.sleep(0)
            await commits().finish()

        self.run(end())
        if was_owner and not life.session.over:
            answered = [int(each) for each in life.client.sent[before:] if each not in ("rang", "tock")]
            stored = self.stored(life.session)["count"]
            assert life.session.count <= stored <= life.session.count + len(words)
            assert not answered or answered[-1] <= stored, "answered, so stored"
            life.session.count = stored

    @rule(seconds=st.integers(1, 9))
    def wait(self, seconds: int) -> None:
        self.loop.moved += seconds
        self.settle()

    def settle(self) -> None:
        """Let run out what is due, for those whose clients are here."""

        async def turn() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
                await commits().finish()

        self.run(turn())
        for session in self.sessions:
            life = getattr(session, "life", None)
            due = [word for word, when in session.due.items() if when <= self.loop.moved]
            if life and life.is_owner and due:
                for word in due:
                    del session.due[word]
                session.count += 100 * ("rang" in due)
                assert sorted(life.client.sent[-len(due) :]) == sorted(due)

    # what always holds ----------------------------------------------------------------------------------------------
    def stored(self, session: Expected) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ActorSession.objects.get(pk=session.id).state)
        return found

    @invariant()
    def the_database_has_what_was_answered(self) -> None:
        for session in self.sessions:
            if session.over:
                assert not ActorSession.objects.filter(pk=session.id).exists()
                continue
            assert self.stored(session)["count"] == session.count
            life = getattr(session, "life", None)
            if life and not life.actor.stopped:
                assert isinstance(life.actor.state, Counting)
                assert life.actor.state.count == session.count

    @invariant()
    def the_database_has_the_timers_that_run(self) -> None:
        names = {"rang": "alarm", "tock": "tick"}
        for session in self.sessions:
            if not session.over:
                stored = json.loads(ActorSession.objects.get(pk=session.id).timers)
                expected = {names[word]: LATER + when for word, when in session.due.items()}
                assert {timer[0]: timer[1] for timer in stored} == expected

    @invariant()
    def each_disconnect_rule_ran_once(self) -> None:
        for session in self.sessions:
            assert left.get_sync(session.id, 0) == session.left


@pytest.mark.django_db(transaction=True)
def test_what_was_answered_is_stored_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "shift", lambda: LATER)
    monkeypatch.setattr(runtime, "PAUSES", (0, 0, 0, 0))
    monkeypatch.setattr(sessions, "save_all", Outage.refuse)
    monkeypatch.setattr(runtime.logger, "disabled", True)  # failures are what this is about
    monkeypatch.setattr(logging.getLogger("realtime_project.commits"), "disabled", True)
    played = Actors()  # what chance seldom plays: a timer runs out, and nothing else is other than before
    life = played.connect()
    played.tell(life, 4.0)
    played.wait(4)
    played.the_database_has_the_timers_that_run()
    played.teardown()
    run_state_machine_as_test(
        Actors,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


async def stored(opened: sessions.Opened) -> ActorSession:
    return await ActorSession.objects.aget(pk=opened.session.id)


@pytest.mark.django_db(transaction=True)
async def test_what_may_be_stored_is_not_undone_by_who_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database commits, and is lost before it can say so."""
    client = Client(1)
    actor, opened = await arrived(client)
    write = Commits.write

    def unanswered(self: Commits, function: Any, item: Any) -> asyncio.Future[Any]:
        answer = self.loop.create_future()
        write(self, function, item).add_done_callback(lambda _: answer.set_exception(Unsure("lost")))
        return answer

    with monkeypatch.context() as during:
        during.setattr(Commits, "write", unanswered)
        await actor.tell("add")
    assert (client.sent, client.closed) == ([], runtime.LATER)
    await actor.tell(3)  # which was on its way
    await actor.leave(gone(runtime.LATER))
    assert json.loads((await stored(opened)).state)["count"] == 1
    assert await left.get(opened.session.id, 0) == 0, "it cannot tell in which state it would leave"
    await keeper.tidy(await keeper.tidy(set()))
    row = await stored(opened)
    assert (row.owner, json.loads(row.state)["count"]) == ("", 1), "for its client to find"


@pytest.mark.django_db(transaction=True)
async def test_who_is_stopped_for_good_is_forgotten_also_where_that_had_to_be_said_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is no state that could be saved over another: it is deleted, or was already."""
    actor, opened = await arrived(Client(1))
    actor.farewell = gone
    write, lost = Commits.write, [Unsure("lost")]

    def unanswered(self: Commits, function: Any, item: Any) -> asyncio.Future[Any]:
        if not lost:
            return write(self, function, item)
        answer = self.loop.create_future()
        answer.set_exception(lost.pop())
        return answer

    monkeypatch.setattr(Commits, "write", unanswered)
    actor.end()
    async with asyncio.timeout(10):
        while not actor.stopped:
            await asyncio.sleep(0.005)
    assert not lost
    assert not await ActorSession.objects.filter(pk=opened.session.id).aexists()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> int:
    """So many attempts to save have to fail before it is given up."""
    monkeypatch.setattr(runtime, "PAUSES", (0, 0))
    monkeypatch.setattr(runtime, "AGAIN", 100.0)
    monkeypatch.setattr(sessions, "save_all", Outage.refuse)
    return 3


def timers_of(row: ActorSession) -> list[str]:
    return [timer[0] for timer in json.loads(row.timers)]


@pytest.mark.django_db(transaction=True)
async def test_a_timer_that_ran_out_while_the_database_was_away_is_still_there(away: int) -> None:
    client = Client(1)
    actor, opened = await arrived(client)
    await actor.tell(0)
    Outage.left = away  # before it rings
    async with asyncio.timeout(10):
        while client.closed is None:
            await asyncio.sleep(0.005)
    assert client.closed == runtime.LATER
    await actor.leave(gone(runtime.LATER))
    row = await stored(opened)
    assert (json.loads(row.state)["count"], timers_of(row)) == (0, ["alarm"])


@pytest.mark.django_db(transaction=True)
async def test_the_keeper_has_a_timer_run_out_anew_that_could_not_be_saved(
    away: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "AGAIN", 1.0)
    actor, opened = await arrived(Client(1))
    await actor.tell(0)
    await actor.leave(gone(1000))  # before it rings
    Outage.left = away
    known = {Client.endpoint: Setup(None, rules, Decoder(()), codec, "keep", False, None)}
    rested: list[Any] = []
    async with asyncio.timeout(30):
        while len(rested) < 2:
            if await keeper.look(known):
                row = await stored(opened)
                rested.append((row.owner, json.loads(row.state)["count"], timers_of(row)))
            await asyncio.sleep(0.02)
    assert rested == [("", 0, ["alarm"]), ("", 100, [])]


@pytest.mark.django_db(transaction=True)
async def test_a_silence_is_not_broken_by_what_has_not_happened(away: int) -> None:
    client = Client(1)
    actor, opened = await arrived(client)
    await actor.tell("hush")
    Outage.left = 2 * away  # for what comes, and for its leaving
    await actor.tell("add")
    assert client.closed == runtime.LATER
    await actor.leave(gone(runtime.LATER))
    assert Outage.left == 0
    assert timers_of(await stored(opened)) == [EVENT]


async def test_a_timer_whose_handler_fails_has_run_out() -> None:
    """It would fail again and again."""
    told: list[str] = []
    failing = Rules()

    @failing.on(str, int)
    def handle(message: str, state: int) -> Any:
        told.append(message)
        if message == "timer":
            raise RuntimeError("as it should")
        return [Schedule("t", after=0, message="timer")], state

    actor = Actor(Machine(failing, 0), Own(Topic("in.failing"), Topic("out.failing")))
    await actor.tell("begin")
    async with asyncio.timeout(10):
        while len(told) < 2:
            await asyncio.sleep(0.005)
    assert (told, actor.machine.timers) == (["begin", "timer"], {})
    actor.stop()


async def test_one_message_at_a_time_whoever_brings_it() -> None:
    """Its client, others through its topic, a timer: also where all of them come in one turn of the loop."""
    inside = most = 0
    order: list[str] = []
    slow = Rules()

    @slow.on(str, Any)
    async def handle(message: str, state: int) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        order.append(message)
        await asyncio.sleep(0.005)
        inside -= 1
        return ([Schedule("t", after=0, message="timer")] if message == "1" else []), state + 1

    actor = Actor(Machine(slow, 0), Own(Topic("in.slow"), Topic("out.slow")))
    assert actor.tell_soon("1")
    client = asyncio.create_task(actor.tell("2"))
    await actor.tell("3")  # before anybody has begun with the first
    assert actor.tell_soon("4")
    await client
    async with asyncio.timeout(10):
        while actor.state < 5:
            await asyncio.sleep(0.005)
    assert most == 1
    assert order[:1] == ["1"]
    assert sorted(order) == ["1", "2", "3", "4", "timer"]
    actor.stop()


async def test_one_that_is_cancelled_while_the_layer_is_behind_takes_nobody_with_it(
    fresh_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who publish to one topic at one time wait for the same thing."""
    behind = asyncio.Event()

    async def taken(group: str, message: Any) -> None:
        await behind.wait()

    monkeypatch.setattr(performers, "WAITING", 0)
    monkeypatch.setattr(fresh_hub.seats[0].layer, "group_send", taken)
    crowd, saying = Topic("tests.crowd"), Rules()

    @saying.on(str, int)
    def say(message: str, state: int) -> Any:
        return [Publish(crowd, message)], state + 1

    first, second = (Actor(Machine(saying, 0), Own(Topic(f"in.{n}"), Topic(f"out.{n}"))) for n in ("one", "two"))
    fresh_hub.publish("tests.others", ("the sender is busy with this",))
    await asyncio.sleep(0)
    leaving, staying = asyncio.create_task(first.tell("leaving")), asyncio.create_task(second.tell("staying"))
    while not (first.state and second.state):
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert not staying.done()
    behind.set()
    async with asyncio.timeout(10):
        await staying
    first.stop()
    second.stop()
