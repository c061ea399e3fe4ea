"""Two actors: one answers, the other also stores what it has come to."""

from typing import Any

from django.urls import path

from actors.consumers import ActorConsumer
from actors.effects import Publish
from actors.messages import ClientConnected
from actors.rules import Rules
from actors.states import State
from realtime_project.topics import Topic


class Counting(State, frozen=True):
    topic_out: Topic | None = None
    count: int = 0


def connected(message: ClientConnected, state: Counting) -> Any:
    return [], Counting(message.topic_out)


def echo(message: str, state: Counting) -> Any:
    assert state.topic_out
    return [Publish(state.topic_out, message)], state


def count(message: str, state: Counting) -> Any:
    assert state.topic_out
    return [Publish(state.topic_out, message)], Counting(state.topic_out, state.count + 1)


urlpatterns = [
    path(
        "echo/",
        ActorConsumer.as_asgi(
            initial_state=Counting(), rules=Rules({(ClientConnected, Counting): connected, (str, Counting): echo})
        ),
    ),
    path(
        "count/",
        ActorConsumer.as_asgi(
            initial_state=Counting(),
            rules=Rules({(ClientConnected, Counting): connected, (str, Counting): count}),
            persist=True,
        ),
    ),
]
