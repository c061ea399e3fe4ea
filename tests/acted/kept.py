"""Actors whose states are stored, and those of a later version."""

from typing import Any

from actors.effects import EventTimeout, Publish, Schedule
from actors.messages import ClientConnected, ClientDisconnected, Message, Timeout
from actors.rules import Rules
from actors.states import Done, State
from realtime_project.topics import Topic
from tests.acted.counter import Counter, log, say


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
    return [Schedule("alarm", after=1.5), say(state, "set")], state


@newer.on(Timeout("alarm"), Tally)
def newer_alarm_rang(message: Timeout, state: Tally) -> Any:
    return [Publish(log, f"rang at {state.total}")], Tally(state.topic_out, state.total + 100)
