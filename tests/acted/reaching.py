"""Actors that reach out: those that start a client, and one that a client drives. And a bridge's two topics."""

from typing import Any

from actors import outbound
from actors.effects import Publish, StartClient, StopClient, Subscribe
from actors.messages import ClientConnected, ServerConnected
from actors.rules import Rules
from actors.states import Done, State
from realtime_project.topics import Topic
from tests.acted.counter import Counter, log, say

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
