"""Actors that tests talk to: each shows one side of what an actor may do."""

import asyncio
import json
import logging
import time
from typing import Any

import msgspec
from channels.layers import get_channel_layer
from django.urls import path

from actors import examples, outbound, runtime
from actors.consumers import ActorConsumer
from actors.effects import (
    Call,
    Close,
    Effect,
    EventTimeout,
    Postpone,
    Publish,
    Schedule,
    StartClient,
    StateTimeout,
    StopClient,
    Subscribe,
    Unsubscribe,
    Write,
)
from actors.messages import CallFailed, ClientConnected, ClientDisconnected, Message, ServerConnected, Timeout
from actors.models import ActorSession
from actors.performers import performs
from actors.quiz import players
from actors.quiz.consumers import QuizConsumer
from actors.quiz.game import Format
from actors.rules import Rules
from actors.states import Done, State
from actors.store import Store
from chat.consumers import TopicConsumer
from realtime_project import database
from realtime_project.models import Connection
from realtime_project.registry import registry
from realtime_project.topics import Topic, hub

logger = logging.getLogger("acted")
log = Topic("acted.log", history=True)  # what happened, once each
news = Topic("acted.news")
diary = Store("acted.diary")
gate = asyncio.Event()


class Counter(State, frozen=True):
    topic_out: Topic | None = None
    count: int = 0


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


def say(state: Any, text: str | bytes) -> Publish:
    return Publish(state.topic_out, text)


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
    return [say(state, "entered"), EventTimeout(0.4)]


@rules.on_exit(Quiet)
def quiet_ends(state: Quiet) -> Any:
    return [say(state, "left")]


@rules.on(str, Quiet)
def disturbed(message: str, state: Quiet) -> Any:
    return [say(state, f"disturbed by {message}"), EventTimeout(0.4)], state


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


# typed messages ---------------------------------------------------------------------------------------------------
class Add(Message, frozen=True):
    number: int


typed = Rules()
typed.on(ClientConnected, Counter)(lambda message, state: ([], Counter(message.topic_out)))


@typed.on(Add, Counter)
def add_number(message: Add, state: Counter) -> Any:
    return [say(state, f"sum {state.count + message.number}")], Counter(state.topic_out, state.count + message.number)


@typed.on(str, Counter)
def as_text(message: str, state: Counter) -> Any:
    return [say(state, f"text {message}")], state


# stored -----------------------------------------------------------------------------------------------------------
class Alarm(Message, frozen=True):
    seconds: float
    word: str


class Rang(Message, frozen=True):
    word: str


kept = Rules()


@kept.on(ClientConnected, Counter)
def begin_kept(message: ClientConnected, state: Counter) -> Any:
    return [Publish(message.topic_out, f"resumed {message.resumed} at {state.count}")], Counter(
        message.topic_out, state.count
    )


@kept.on("add", Counter)
def add_kept(message: str, state: Counter) -> Any:
    return [say(state, str(state.count + 1))], Counter(state.topic_out, state.count + 1)


@kept.on("silence", Counter)
def wait_for_silence(message: str, state: Counter) -> Any:
    return [EventTimeout(600), say(state, "hush")], state


@kept.on("hello", Counter)
def say_hello(message: str, state: Counter) -> Any:
    return [say(state, "hello")], state


@kept.on("done", Counter)
def done_kept(message: str, state: Counter) -> Any:
    return [], Done()


@kept.on(Alarm, Counter)
def set_alarm(message: Alarm, state: Counter) -> Any:
    return [Schedule("alarm", after=message.seconds, message=Rang(message.word)), say(state, "set")], state


@kept.on(Rang, Counter)
def alarm_rang(message: Rang, state: Counter) -> Any:
    return [say(state, f"rang {message.word}"), Publish(log, f"rang {message.word}")], Counter(
        state.topic_out, state.count + 100
    )


@kept.on(ClientDisconnected, Counter)
def end_kept(message: ClientDisconnected, state: Counter) -> Any:
    return [Publish(log, f"left at {state.count} with {message.code}")], state


class Tally(State, frozen=True, tag="Counter"):
    """What a Counter has become."""

    topic_out: Topic | None = None
    total: int = 0


newer = Rules(version=2)


@newer.upcast(1)
def count_is_total(data: dict[str, Any]) -> dict[str, Any]:
    return {"state": "Counter", "topic_out": data.get("topic_out"), "total": data["count"]}


@newer.on(ClientConnected, Tally)
def begin_newer(message: ClientConnected, state: Tally) -> Any:
    return [Publish(message.topic_out, f"resumed {message.resumed} at {state.total}")], Tally(
        message.topic_out, state.total
    )


@newer.on("alarm", Tally)
def set_newer_alarm(message: str, state: Tally) -> Any:
    return [Schedule("alarm", after=0.3), say(state, "set")], state


@newer.on(Timeout("alarm"), Tally)
def newer_alarm_rang(message: Timeout, state: Tally) -> Any:
    return [Publish(log, f"rang at {state.total}")], Tally(state.topic_out, state.total + 100)


# what reaches out ------------------------------------------------------------------------------------------------
bridge, arrived = Topic("acted.bridge"), Topic("acted.arrived", history=True)
inbox, outbox = Topic("acted.inbox"), Topic("acted.outbox")
reaching, listening = Rules(), Rules()


class Listening(State, frozen=True):
    """Notes what it is told."""


@reaching.on(ClientConnected, Counter)
def begin_reaching(message: ClientConnected, state: Counter) -> Any:
    return [Subscribe(inbox)], Counter(message.topic_out)


@reaching.on(lambda message: isinstance(message, str) and message.startswith("start "), Counter)
def reach_out(message: str, state: Counter) -> Any:
    return [StartClient("far", message.removeprefix("start "), [inbox], [outbox]), say(state, "started")], state


@reaching.on("stop", Counter)
def let_go(message: str, state: Counter) -> Any:
    return [StopClient("far"), say(state, "stopped")], state


@reaching.on(str, Counter)
def send_out(message: str, state: Counter) -> Any:
    return [Publish(outbox, message)], state


@listening.on(ServerConnected, Listening)
def greet_server(message: ServerConnected, state: Listening) -> Any:
    return [Publish(message.topic_out, "hello from afar"), Publish(log, f"reached {message.url}")], state


@listening.on("that is all", Listening)
def end_listening(message: str, state: Listening) -> Any:
    return [], Done()


outbound.drive("acted.listener", initial_state=Listening(), rules=listening)


# code of the server that is no actor ------------------------------------------------------------------------------
async def post(scope: Any, receive: Any, send: Any) -> None:
    """Publishes what it is told, [topic, content], to a topic by its name."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "text" in message:
            name, content = json.loads(message["text"])
            await Topic(name).publish(content)


async def running(scope: Any, receive: Any, send: Any) -> None:
    """Tells which actors run: "list", "state <id>", "waiting <id>", "stop <id>"."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "text" in message:
            word, _, id = message["text"].partition(" ")
            actor = runtime.actors.get(id)
            if word == "list":
                answer: Any = {id: actor.endpoint for id, actor in runtime.actors.items()}
            elif word == "waiting":
                answer = actor and len(actor._mailbox)
            elif word == "state":
                answer = actor and repr(actor.state)
            else:
                answer = runtime.end(id)
            await send({"type": "websocket.send", "text": json.dumps(answer)})


async def left(scope: Any, receive: Any, send: Any) -> None:
    """Counts what this process holds of others."""
    await send({"type": "websocket.accept"})
    tasks = sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    scheduled: Any = asyncio.get_running_loop()
    timers = [each for each in scheduled._scheduled if not each.cancelled() and "Actor" in repr(each)]
    layer: Any = get_channel_layer()
    told = {
        "actors": len(runtime.actors),
        "feeds": sum(not name.startswith(("control:", "presence")) for name in hub().feeds),
        "tasks": [name for name in tasks if not name.startswith(("Feed.", "Orders."))],
        "sessions": await database.run(ActorSession.objects.count),
        "connections": len(registry.connections),
        "timers": len(timers),
        "groups": len(layer.groups),
        "rows": await database.run(Connection.objects.exclude(endpoint="/ws/acted/left/").count),
    }
    await send({"type": "websocket.send", "text": json.dumps(told)})
    while (await receive())["type"] != "websocket.disconnect":
        pass


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
