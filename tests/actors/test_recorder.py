"""The flight recorder: what is noted, what is never kept, what stays, and that it can be played again and exported."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from actors import recordings, runtime
from actors.effects import Call, Postpone, Publish, StateTimeout, Subscribe, Write
from actors.export import export
from actors.machine import Machine
from actors.messages import CallFailed, ClientConnected, Message, Secret, Timeout
from actors.models import Recording, Step
from actors.performers import Heard
from actors.recorder import WAITING, Recorder, Tape
from actors.replay import OTHERWISE, SAME, UNKNOWN, replay
from actors.rules import Rules
from actors.runtime import Actor
from actors.states import Done, State
from actors.store import Store
from actors.stored import Own
from realtime_project.feeds import Event
from realtime_project.topics import Topic
from tests.helpers import PATIENCE, PROJECT, Server, connect, unique

news = Topic("tests.recorder.news")
diary = Store("tests.recorder")


class Guest(State, frozen=True):
    pass


class Checking(State, frozen=True):
    topic_out: Any
    password: str


class Inside(State, frozen=True):
    topic_out: Any
    name: str
    seen: int = 0


class Login(Message, frozen=True):
    name: str
    password: Annotated[str, Secret]
    card: int = 0


class Checked(msgspec.Struct, frozen=True):
    is_right: bool
    name: str


rules = Rules()


async def check(name: str, password: str) -> None:
    """The tests give the answer."""


def hear(content: Any) -> Any:
    return None


def relay(prefix: str, content: str) -> Any:
    return [Publish(news, f"{prefix} {content}")]


@rules.on(ClientConnected, Guest)
def greet(message: ClientConnected, state: Guest) -> Any:
    return [Publish(message.topic_out, f"welcome from {message.client_ip}")], state


@rules.on(Login, Guest)
def log_in(message: Login, state: Guest) -> Any:
    told = Publish(Topic("tests.recorder.out"), f"{message.name} tries {message.password}")
    return [told, Call(check, message.name, message.password)], Checking(told.topic, message.password)


@rules.on(str, Checking)
def wait(message: str, state: Checking) -> Any:
    return [Postpone()], state


@rules.on(Checked, Checking)
def enter(message: Checked, state: Checking) -> Any:
    return [Subscribe(news, hear), Write(diary.incr_sync, message.name)], Inside(state.topic_out, message.name)


@rules.on_entry(Inside)
def hurry(state: Inside) -> Any:
    return [StateTimeout(30)]


@rules.on("fail", Inside)
def fail(message: str, state: Inside) -> Any:
    raise ValueError("no\nimport os  # such thing")


@rules.on("long", Inside)
def long(message: str, state: Inside) -> Any:
    return [Publish(state.topic_out, "x" * 5_000)], state


@rules.on(str, Inside)
def say(message: str, state: Inside) -> Any:
    return [Publish(state.topic_out, message.upper())], msgspec.structs.replace(state, seen=state.seen + 1)


@rules.on(Timeout("state"), Inside)
def end(message: Timeout, state: Inside) -> Any:
    return [Publish(state.topic_out, "bye")], Done()


class Client:
    endpoint = "/ws/tests/recorded/"

    def __init__(self, id: str) -> None:
        self.id = id
        self.sent: list[Any] = []

    def write(self, events: Sequence[Event]) -> None:
        self.sent += [event.content for event in events]

    async def drain(self) -> None: ...
    def close_soon(self, code: int, reason: str = "") -> None: ...


class Recorded:
    """One actor that is recorded, and the recorder."""

    def __init__(self, table: Rules = rules, state: Any = None, redact: Sequence[str] = (), user: Any = None) -> None:
        self.id = unique("r")[-32:]
        self.recorder = Recorder()
        self.own = Own(Topic(f"tests.in:{self.id}"), Topic(f"tests.out:{self.id}"))
        about = recordings.About(self.id, Client.endpoint, None, "here", user, timezone.now())
        self.tape = Tape(self.recorder, about, self.own, redact)
        self.actor = Actor(
            Machine(table, Guest() if state is None else state), self.own, Client(self.id), tape=self.tape
        )

    async def plays(self, *messages: Any) -> list[Step]:
        await self.actor.begin()
        for message in messages:
            await self.actor.tell(message)
        return await self.steps()

    async def steps(self) -> list[Step]:
        await self.recorder.write()
        return [step async for step in Step.objects.filter(recording=self.id).order_by("number")]

    def connected(self) -> ClientConnected:
        return ClientConnected(
            connection=self.id, server="here", client_ip="192.0.2.7", path="/ws/tests/", time=timezone.now(),
            topic_in=self.own.topic_in, topic_out=self.own.topic_out,
        )  # fmt: skip


@pytest.fixture(autouse=True)
async def _stopped() -> AsyncIterator[None]:
    yield
    for actor in list(runtime.actors.values()):
        actor.stop()


pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = (
    Login("ann", "s3cret!", card=4111),
    "early",
    Checked(True, "ann"),
    "hello",
    "fail",
    "long",
    Heard(partial(relay, "heard:"), "some news"),
    42,
    CallFailed("f", "gone"),
    Timeout("state"),
)


# what is noted --------------------------------------------------------------------------------------------------
async def test_every_transition_is_kept_with_what_it_came_to() -> None:
    recorded = Recorded()
    steps = await recorded.plays(recorded.connected(), *EVERYTHING)
    assert [(step.number, step.kind, step.message, step.before, step.after) for step in steps] == [
        (0, "begin", "begun", "Guest", "Guest"),
        (1, "rule", "ClientConnected", "Guest", "Guest"),
        (2, "rule", "Login", "Guest", "Checking"),
        (3, "rule", "str", "Checking", "Checking"),
        (4, "rule", "Checked", "Checking", "Inside"),
        (5, "rule", "str", "Inside", "Inside"),
        (6, "rule", "str", "Inside", "Inside"),
        (7, "failed", "str", "Inside", "Inside"),
        (8, "rule", "str", "Inside", "Inside"),
        (9, "heard", "str", "Inside", "Inside"),
        (10, "dropped", "int", "Inside", "Inside"),
        (11, "dropped", "CallFailed", "Inside", "Inside"),
        (12, "rule", "Timeout state", "Inside", "Done"),
    ]
    assert [step.number for step in steps if step.is_again] == [5]
    assert steps[5].rule.startswith("say at tests/actors/test_recorder.py:")
    assert steps[5].took > 0
    assert json.loads(steps[5].effects)[0]["v"]["content"] == "EARLY"
    assert json.loads(steps[1].effects)[0]["v"]["topic"] == {"$": "out"}
    assert "ValueError" in steps[7].error
    row = await Recording.objects.aget(pk=recorded.id)
    assert (row.endpoint, row.state, row.taken, row.missed, row.ended) == (Client.endpoint, "Done", 13, 0, True)


async def test_what_cannot_be_carried_out_is_told_from_what_fails() -> None:
    table = Rules()
    table.on("write", Guest)(lambda message, state: ([Write(diary.set_sync, 42, "no key")], Done()))
    recorded = Recorded(table)
    (_, step) = await recorded.plays("write")
    assert (step.kind, step.after) == ("undone", "Guest")
    assert "TypeError" in step.error


# what is never kept ---------------------------------------------------------------------------------------------
async def test_a_secret_is_nowhere_in_the_database_whatever_became_of_it() -> None:
    secret = 'pa"ss<é word'
    recorded = Recorded(redact=["card"])
    raw = json.dumps({"deep": [{"Password": secret}], "card": 987654})
    steps = await recorded.plays(
        recorded.connected(),
        Login("ann", secret, card=123456),
        Checked(True, "ann"),
        f"my password is {secret} and my card is 123456",
        raw,
        json.dumps(secret),
        secret.encode(),
    )
    everything = "".join(str(vars(step)) for step in steps)
    for hidden in (secret, json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3], "123456", "987654"):
        assert hidden not in everything, hidden
    assert [step.number for step in steps if step.is_redacted] == [2, 3, 4, 5, 6, 7]
    assert steps[2].told.count("‹secret 1›") == 1
    assert "ann tries ‹secret 1›" in steps[2].effects
    assert "‹secret 1›" in steps[2].became
    assert "MY PASSWORD IS" in steps[4].effects


async def test_declared_names_are_left_out_of_addresses_and_people_too() -> None:
    from django.http import QueryDict

    recorded = Recorded(redact=["client_ip", "user"])
    person = get_user_model()(pk=7, username="ann")
    connected = msgspec.structs.replace(
        recorded.connected(), query=QueryDict("token=abcdef&room=1"), user=person, client_ip="192.0.2.77"
    )
    steps = await recorded.plays(connected)
    everything = "".join(str(vars(step)) for step in steps)
    for hidden in ("192.0.2.77", "abcdef", "ann"):
        assert hidden not in everything, hidden
    assert "room=1" in steps[1].told


async def test_an_object_of_an_unknown_kind_is_its_class_alone() -> None:
    class Strange:
        def __repr__(self) -> str:
            raise RuntimeError("never asked")

    recorded = Recorded(Rules({(Any, Any): lambda message, state: ([], state)}))
    (_, step) = await recorded.plays(Strange())
    assert json.loads(step.told)["$"] == "opaque"


async def test_a_value_that_cannot_be_written_costs_its_own_step_alone() -> None:
    class Broken(dict[str, str]):
        @property
        def get_username(self) -> str:
            raise ValueError("never")

    recorded = Recorded(Rules({(Any, Any): lambda message, state: ([], state)}))
    steps = await recorded.plays(Broken(), Timeout("a\0\ud800"), "after")
    assert [step.message for step in steps] == ["begun", "Broken", "Timeout a\\0?", "str"]
    assert steps[1].error == "cannot be written: ValueError"
    assert replay(recorded.actor.machine.rules, steps).verdicts[-1].word == SAME


@pytest.mark.parametrize(("many", "is_kept"), [(200, True), (201, False)])
async def test_a_step_with_more_secrets_than_are_remembered_is_kept_without_its_values(
    many: int, is_kept: bool
) -> None:
    recorded = Recorded(Rules({(str, Guest): lambda message, state: ([Publish(news, message)], state)}))
    message = json.dumps({f"token{number}": f"value-{number:06d}" for number in range(many)})
    async with asyncio.timeout(PATIENCE):
        steps = await recorded.plays(message, "after")
    assert [step.message for step in steps] == ["begun", "str", "str"]
    assert "value-" not in "".join(str(vars(step)) for step in steps)
    assert steps[1].is_redacted
    assert steps[1].error == ("" if is_kept else "cannot be written: TooManySecrets")
    assert ("token0" in steps[1].told) == is_kept
    assert json.loads(steps[2].told) == "after"


async def test_a_topic_named_by_a_secret_is_not_told() -> None:
    table = Rules({(Login, Guest): lambda message, state: ([Publish(Topic(f"room:{message.password}"), "x")], state)})
    recorded = Recorded(table)
    (_, step) = await recorded.plays(Login("ann", "open sesame"))
    assert "sesame" not in str(vars(step))
    assert replay(table, [step]).word == SAME


# bounds ---------------------------------------------------------------------------------------------------------
async def test_the_newest_steps_stay_of_a_recording_and_of_all(settings: Any) -> None:
    settings.RECORDER_SESSION, settings.RECORDER_STEPS = 5, 12
    first = Recorded(Rules({(str, Guest): lambda message, state: ([], state)}))
    await first.plays(*map(str, range(20)))
    assert [step.number for step in await first.steps()] == [16, 17, 18, 19, 20]
    await first.actor.tell("x")
    assert [step.number for step in await first.steps()] == [17, 18, 19, 20, 21]
    for _ in range(4):
        other = Recorded(Rules({(str, Guest): lambda message, state: ([], state)}))
        await other.plays(*"abcd")
    assert await Step.objects.acount() <= 12


async def test_what_comes_too_fast_is_counted_and_harms_nobody() -> None:
    recorded = Recorded(Rules({(str, Guest): lambda message, state: ([], state)}))
    await recorded.actor.begin()
    for _ in range(WAITING + 10):
        await recorded.actor.tell("x")
    assert recorded.tape.missed == 11
    assert len(recorded.tape.steps) == WAITING
    while recorded.recorder.tapes:
        assert await recorded.recorder.write()
    assert recorded.recorder.waiting == 0
    assert (await Recording.objects.aget(pk=recorded.id)).missed == 11


async def test_a_value_that_is_too_long_is_cut_and_can_still_be_compared() -> None:
    recorded = Recorded()
    steps = await recorded.plays(*EVERYTHING)
    long = next(step for step in steps if step.rule.startswith("long"))
    (effect,) = json.loads(long.effects)
    assert effect["v"]["content"]["n"] == 5_000
    assert len(long.effects) < 1_000
    assert replay(rules, steps).word == SAME


async def test_a_database_that_is_away_costs_steps_and_no_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded()

    def away(batches: Any) -> None:
        raise OSError("away")

    with monkeypatch.context() as patched:
        patched.setattr(recordings, "write", away)
        await recorded.plays(recorded.connected())
        assert not recorded.recorder.waiting
    await recorded.actor.tell("hello")
    (step,) = await recorded.steps()
    assert step.number == 2
    assert (await Recording.objects.aget(pk=recorded.id)).missed == 2


async def test_a_persons_recordings_go_with_their_account_and_none_is_begun_after() -> None:
    person = await get_user_model().objects.acreate(username=unique("p"))
    recorded = Recorded(user=person.pk)
    assert await recorded.plays("x")
    await person.adelete()
    assert not await Recording.objects.filter(pk=recorded.id).aexists()
    await recorded.actor.tell("y")
    assert await recorded.steps() == []


async def test_forget_deletes_what_is_old() -> None:
    old, new = Recorded(), Recorded()
    await old.plays("x")
    await new.plays("x")
    await Recording.objects.filter(pk=old.id).aupdate(last_at=timezone.now() - timedelta(days=8))
    assert await asyncio.to_thread(recordings.forget, timedelta(days=7)) == 1
    assert [row.pk async for row in Recording.objects.all()] == [new.id]


async def test_what_happens_when_a_server_stops_is_recorded_to_the_end(own_server: Server) -> None:
    async with connect(own_server.ws("ws/names/")) as socket:
        assert await socket.recv() == "send your name"
        await socket.send(name := unique("bob"))
        await socket.send("hi")
        assert await socket.recv() == f"[{name}]: hi"
        await asyncio.to_thread(own_server.stop)
    steps = await asyncio.to_thread(
        own_server.python,
        """
        from actors.models import Step
        found = Step.objects.order_by("number").select_related("recording")
        print(json.dumps([[step.message, step.after, step.recording.ended] for step in found]))
        """,
    )
    assert steps[0] == ["begun", "Unnamed", True]
    assert steps[-1] == ["ClientDisconnected", "Named", True]


# played again ---------------------------------------------------------------------------------------------------
async def test_a_recording_is_the_same_under_the_same_rules() -> None:
    recorded = Recorded()
    steps = await recorded.plays(recorded.connected(), *EVERYTHING)
    report = replay(rules, steps)
    assert [(verdict.word, verdict.why) for verdict in report.verdicts] == [(SAME, "")] * len(steps)


async def test_what_would_be_otherwise_is_named_and_what_follows_is_judged_by_itself() -> None:
    recorded = Recorded()
    steps = await recorded.plays(recorded.connected(), *EVERYTHING)
    changed = Rules({(ClientConnected, Any): lambda message, state: ([Publish(message.topic_out, "hi")], state)})
    report = replay(changed | rules, steps)
    assert [verdict.step.number for verdict in report.of(OTHERWISE)] == [1]
    assert report.of(OTHERWISE)[0].why == (
        "the effects are [Publish(topic_out, 'hi')], not [Publish(topic_out, 'welcome from 192.0.2.7')]"
    )
    assert report.word == OTHERWISE
    nothing = replay(Rules({(int, Inside): lambda message, state: ([], state)}), steps)
    assert any("no rule is for it now" in verdict.why for verdict in nothing.of(OTHERWISE))
    assert any("handles it now" in verdict.why for verdict in nothing.of(OTHERWISE))


async def test_what_depends_on_a_secret_cannot_be_said() -> None:
    table = Rules()

    @table.on(Login, Guest)
    def log_in(message: Login, state: Guest) -> Any:
        return [Publish(news, f"{len(message.password)}")], state

    recorded = Recorded(table)
    steps = await recorded.plays(Login("ann", "a long secret that is long"), Login("bob", "short one"))
    report = replay(table, steps)
    assert [verdict.word for verdict in report.verdicts] == [SAME, UNKNOWN, UNKNOWN]
    assert "something secret was left out" in report.verdicts[1].why
    assert report.word == UNKNOWN


async def test_a_handler_that_waits_and_a_function_made_on_the_way_cannot_be_played() -> None:
    table = Rules()

    @table.on("wait", Guest)
    async def wait(message: str, state: Guest) -> Any:
        await asyncio.sleep(0.001)
        return [], state

    recorded = Recorded(table)
    await recorded.plays("wait")
    await recorded.actor.tell(Heard(lambda content: [Publish(news, "x")], "what came"))
    steps = await recorded.steps()
    assert [step.kind for step in steps] == ["begin", "rule", "heard"]
    report = replay(table, steps)
    assert [verdict.word for verdict in report.verdicts] == [SAME, UNKNOWN, UNKNOWN]
    assert "waits for something real" in report.verdicts[1].why


async def test_steps_that_are_missing_spoil_nothing() -> None:
    recorded = Recorded()
    steps = await recorded.plays(recorded.connected(), *EVERYTHING)
    assert replay(rules, [*steps[:2], *steps[6:]]).word == SAME
    assert replay(rules, steps[4:5]).word == SAME


# exported -------------------------------------------------------------------------------------------------------
def run(folder: Path, **files: str) -> str:
    """What pytest says of these files."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={PROJECT}"]
    options = ["-c", str(PROJECT / "pyproject.toml"), str(folder)]
    done = subprocess.run([*command, *options], cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


async def test_an_exported_recording_is_a_test_that_passes(tmp_path: Path) -> None:
    recorded = Recorded()
    steps = await recorded.plays(recorded.connected(), *EVERYTHING)
    row = await Recording.objects.aget(pk=recorded.id)
    text = await asyncio.to_thread(export, row, steps, rules)
    assert "from tests.actors.test_recorder import " in text
    assert 'assert play.tell("hello") == [Publish(Topic("tests.recorder.out"), "HELLO")]' in text
    assert 'assert (partial(relay, "heard:")("some news") or []) == [Publish(Topic(' in text
    assert "s3cret!" not in text
    combined = await asyncio.to_thread(export, row, steps, rules | Rules())
    assert 'rules = setups()["/ws/tests/recorded/"].rules' in combined
    assert "from actors.endpoints import setups" in combined
    broken = text.replace('"HELLO"', '"HULLO"')
    said = await asyncio.to_thread(run, tmp_path, test_exported=text, test_broken=broken)
    assert "1 failed, 1 passed" in said, said
    assert "FAILED" in said and "test_broken.py" in said.partition("FAILED")[2], said
