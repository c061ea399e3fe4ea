"""Actors that tests talk to: each shows one side of what an actor may do."""

import asyncio
import json
import logging
import time
from typing import Any

import msgspec
from django.urls import path

from actors import examples
from actors.consumers import ActorConsumer
from actors.effects import (
    Call,
    Close,
    Effect,
    EventTimeout,
    Postpone,
    Publish,
    Schedule,
    StateTimeout,
    Subscribe,
    Unsubscribe,
    Write,
)
from actors.messages import CallFailed, ClientConnected, ClientDisconnected, Timeout
from actors.performers import performs
from actors.quiz import players
from actors.quiz.consumers import QuizConsumer
from actors.quiz.game import Format
from actors.rules import Rules
from actors.states import Done, State
from actors.store import Store
from chat.consumers import TopicConsumer
from realtime_project.topics import Topic
from tests.acted.counter import Counter, log, say
from tests.acted.kept import Alarm, Rang, Tally, kept, newer
from tests.acted.probes import left, post, running
from tests.acted.reaching import arrived, bridge, reaching
from tests.acted.typed import Add, typed

logger = logging.getLogger("acted")
news = Topic("acted.news")
diary = Store("acted.diary")
gate = asyncio.Event()


class Resting(State, frozen=True):
    topic_out: Topic
    count: int


class Ring(Effect):
    """An effect of one's own."""


class Unknown(Effect):
    """Nobody performs it."""


@performs(Ring)
async def ring(actor: Any, effect: Ring) -> None:
    await asyncio.sleep(0)
    actor.connection.send_text("ring!")


async def double(number: int) -> int:
    await asyncio.sleep(0.01)
    return 2 * number


async def break_down() -> None:
    raise OSError("no line")


# everything at the word of the client -----------------------------------------------------------------------------
rules = Rules()


@rules.on(ClientConnected, Any)
def begin(message: ClientConnected, state: Counter) -> Any:
    told = {
        "resumed": message.resumed,
        "connection": message.connection,
        "server": message.server,
        "client_ip": message.client_ip,
        "path": message.path,
        "aware": message.time.tzinfo is not None,
        "topic_in": message.topic_in.name,
        "topic_out": message.topic_out.name,
        "origin": message.origin,
        "query": {key: message.query.getlist(key) for key in message.query},
        "user": message.user.get_username(),
        "subprotocols": list(message.subprotocols),
    }
    return [Publish(message.topic_out, json.dumps(told))], msgspec.structs.replace(state, topic_out=message.topic_out)


@rules.on(ClientDisconnected, Any)
def end(message: ClientDisconnected, state: Any) -> Any:
    told = {
        "connection": message.connection,
        "client_ip": message.client_ip,
        "path": message.path,
        "aware": message.time.tzinfo is not None,
        "origin": message.origin,
        "code": message.code,
        "count": state.count,
    }
    return [Publish(log, json.dumps(told))], state


@rules.on("add", Counter)
def add(message: str, state: Counter) -> Any:
    return [say(state, str(state.count + 1))], msgspec.structs.replace(state, count=state.count + 1)


@rules.on("fail", Counter)
def fail(message: str, state: Counter) -> Any:
    raise RuntimeError("as the client wished: secret")


@rules.on("number", Counter)
def number(message: str, state: Counter) -> Any:
    return 42


@rules.on("none", Counter)
def none(message: str, state: Counter) -> Any:
    return None


@rules.on("triple", Counter)
def triple(message: str, state: Counter) -> Any:
    return [say(state, "never")], state, 3


@rules.on("half", Counter)
def half(message: str, state: Counter) -> Any:
    return [say(state, "never"), 42], Counter(state.topic_out, 1_000)


@rules.on("unknown", Counter)
def unknown(message: str, state: Counter) -> Any:
    return [say(state, "never"), Unknown()], Counter(state.topic_out, 1_000)


@rules.on("order", Counter)
def order(message: str, state: Counter) -> Any:
    return [say(state, "one"), say(state, b"two"), Ring(), say(state, "three")], state


@rules.on("nothing", Counter)
def nothing(message: str, state: Counter) -> Any:
    return [], state


@rules.on("call", Counter)
def call(message: str, state: Counter) -> Any:
    return [Call(double, 21), Call(break_down)], state


@rules.on(int, Counter)
def called(message: int, state: Counter) -> Any:
    return [say(state, f"called: {message}")], state


@rules.on(CallFailed, Counter)
def failed(message: CallFailed, state: Counter) -> Any:
    return [say(state, f"{message.function} failed")], state


@rules.on("slowly", Counter)
async def slowly(message: str, state: Counter) -> Any:
    await asyncio.sleep(0.1)
    return [say(state, "at last")], state


@rules.on("wait", Counter)
async def wait(message: str, state: Counter) -> Any:
    assert state.topic_out
    await state.topic_out.publish("waiting")  # not an effect: those come when the handler is through
    await gate.wait()
    gate.clear()
    return [], state


@rules.on("open", Counter)
def open_gate(message: str, state: Counter) -> Any:
    gate.set()
    return [say(state, "opened")], state


@rules.on("hold", Counter)
def hold(message: str, state: Counter) -> Any:
    time.sleep(0.15)
    return [say(state, "held")], state


@rules.on("hold midway", Counter)
async def hold_midway(message: str, state: Counter) -> Any:
    await asyncio.sleep(0)
    time.sleep(0.15)
    await asyncio.sleep(0)
    return [say(state, "held")], state


@rules.on("rest", Counter)
def rest(message: str, state: Counter) -> Any:
    assert state.topic_out
    return [StateTimeout(0.3)], Resting(state.topic_out, state.count)


@rules.on(Timeout("state"), Resting)
def wake(message: Timeout, state: Resting) -> Any:
    return [say(state, "awake")], Counter(state.topic_out, state.count)


@rules.on(str, Resting)
def not_now(message: str, state: Resting) -> Any:
    return [Postpone()], state


rules.ignore(bytes, Resting)


class Quiet(State, frozen=True):
    """Waits until nothing comes for a while, and says when it begins and ends."""

    topic_out: Topic
    count: int


@rules.on("quiet", Counter)
def be_quiet(message: str, state: Counter) -> Any:
    assert state.topic_out
    return [say(state, "the rule")], Quiet(state.topic_out, state.count)


@rules.on_entry(Quiet)
def quiet_begins(state: Quiet) -> Any:
    return [say(state, "entered"), EventTimeout(1)]


@rules.on_exit(Quiet)
def quiet_ends(state: Quiet) -> Any:
    return [say(state, "left")]


@rules.on(str, Quiet)
def disturbed(message: str, state: Quiet) -> Any:
    return [say(state, f"disturbed by {message}"), EventTimeout(1)], state


@rules.on(Timeout("event"), Quiet)
def nothing_came(message: Timeout, state: Quiet) -> Any:
    return [say(state, "nothing came")], Counter(state.topic_out, state.count)


rules.ignore(bytes, Quiet)


@rules.on("later", Counter)
def later(message: str, state: Counter) -> Any:
    return [Schedule("later", after=0.2), Schedule("often", every=0.05), EventTimeout(30)], state


@rules.on(Timeout, Counter)
def ran_out(message: Timeout, state: Counter) -> Any:
    return [say(state, f"timer {message.name}")], state


@rules.on("subscribe", Counter)
def subscribe(message: str, state: Counter) -> Any:
    return [Subscribe(news), say(state, "subscribed")], state


@rules.on("louder", Counter)
def subscribe_louder(message: str, state: Counter) -> Any:
    topic_out: Any = state.topic_out

    def louder(content: str) -> Any:
        if content == "fail":
            raise RuntimeError("an operation that fails")
        return 42 if content == "nonsense" else [Publish(topic_out, content.upper())]

    return [Subscribe(news, louder), say(state, "subscribed")], state


def write_down(content: str) -> None:
    logger.info("heard %s", content)


@rules.on("write down", Counter)
def subscribe_to_write_down(message: str, state: Counter) -> Any:
    return [Subscribe(news, write_down), say(state, "subscribed")], state


class Headline(msgspec.Struct, frozen=True):
    text: str


def headline(content: str) -> Headline:
    if content == "fail":
        raise RuntimeError("what cannot be understood")
    return Headline(content)


@rules.on("listen", Counter)
def listen(message: str, state: Counter) -> Any:
    return [Subscribe(news, as_message=headline), say(state, "subscribed")], state


@rules.on(Headline, Counter)
def count_headline(message: Headline, state: Counter) -> Any:
    count = state.count + 1
    return [say(state, f"{count}: {message.text}")], Counter(state.topic_out, count)


@rules.on("unsubscribe", Counter)
def unsubscribe(message: str, state: Counter) -> Any:
    return [Unsubscribe(news), say(state, "unsubscribed")], state


@rules.on("write", Counter)
def write(message: str, state: Counter) -> Any:
    return [Write(diary.incr_sync, "written"), say(state, "written")], state


@rules.on("write badly", Counter)
def write_badly(message: str, state: Counter) -> Any:
    bad = Write(diary.set_sync, "never", "x"), Write(diary.set_sync, 42, "x")
    return [*bad, Publish(log, "never"), say(state, "never")], Counter(state.topic_out, 1_000)


@rules.on(lambda message: message.startswith("spread "), Counter)
def spread(message: str, state: Counter) -> Any:
    """Many rows in one transaction, in the order of the client's choosing."""
    keys = message.split()[1:]
    return [*(Write(diary.incr_sync, key) for key in keys), say(state, "spread")], state


@rules.on("close", Counter)
def close(message: str, state: Counter) -> Any:
    return [say(state, "closing"), Close(4321, "as you wish")], state


@rules.on("done", Counter)
def done(message: str, state: Counter) -> Any:
    return [say(state, "done")], Done()


@rules.on(bytes, Counter)
def echo_bytes(message: bytes, state: Counter) -> Any:
    return [say(state, message)], state


def of_the_connection(connection: Any) -> Counter:
    return Counter(count=len(connection.path))


def recorded(state: State, rules: Rules, **options: Any) -> Any:
    """An example, as it is, with the flight recorder on."""
    return ActorConsumer.as_asgi(initial_state=state, rules=rules, record=True, **options)


SHORT = Format(rounds=2, question=600, reveal=1, patience=1)

urlpatterns = [
    path("ws/acted/left/", left),  # type: ignore[arg-type]
    path("ws/acted/post/", post),  # type: ignore[arg-type]
    path("ws/acted/running/", running),  # type: ignore[arg-type]
    path("ws/acted/news/", TopicConsumer.as_asgi(clients_push_into=[news])),
    path("ws/acted/bridge/", TopicConsumer.as_asgi(clients_push_into=[bridge])),
    path("ws/acted/arrived/", TopicConsumer.as_asgi(clients_push_into=[arrived])),
    path("ws/acted/reaching/", ActorConsumer.as_asgi(initial_state=Counter(), rules=reaching)),
    path("ws/acted/", ActorConsumer.as_asgi(initial_state=Counter(), rules=rules)),
    path("ws/acted/strict/", ActorConsumer.as_asgi(initial_state=Counter(), rules=rules, on_error="close")),
    path("ws/acted/login/", ActorConsumer.as_asgi(initial_state=Counter(), rules=rules, login_required=True)),
    path("ws/acted/typed/", ActorConsumer.as_asgi(initial_state=Counter(), rules=typed, messages=[Add])),
    path("ws/acted/factory/", ActorConsumer.as_asgi(initial_state=of_the_connection, rules=rules)),
    path(
        "ws/acted/kept/",
        ActorConsumer.as_asgi(initial_state=Counter(), rules=kept, messages=[Alarm, Rang], persist=True),
    ),
    path(
        "ws/acted/kept/too/",  # the same actors under another address
        ActorConsumer.as_asgi(initial_state=Counter(), rules=kept, messages=[Alarm, Rang], persist=True),
    ),
    path(
        "ws/acted/kept/in/<str:room>/",
        ActorConsumer.as_asgi(initial_state=Counter(), rules=kept, messages=[Alarm, Rang], persist=True),
    ),
    path("ws/acted/newer/", ActorConsumer.as_asgi(initial_state=Tally(), rules=newer, persist=True)),
    path("ws/acted/recorded/echo/", recorded(examples.Guest(), examples.echo)),
    path("ws/acted/recorded/names/", recorded(examples.Unnamed(), examples.names, persist=True)),
    path(
        "ws/acted/recorded/store/",
        recorded(
            examples.Shelf(Store("acted.shelf")),
            examples.inventory,
            messages=[examples.StoreRequest, examples.FetchRequest],
        ),
    ),
    path(
        "ws/acted/recorded/quiz/",
        recorded(players.Arriving(SHORT), players.quiz, messages=players.MESSAGES, persist=True),
    ),
    path("ws/acted/quiz/", QuizConsumer.of(SHORT)),
    path("ws/acted/quiz/shown/", QuizConsumer.of(Format(rounds=2, question=60, reveal=3, patience=1))),
    path("ws/acted/quiz/quick/", QuizConsumer.of(Format(rounds=2, question=2, reveal=1))),
]
