"""What the tests' actors share: a state that counts, a word to the client, and a log of what happened."""

from typing import Any

from actors.effects import Publish
from actors.states import State
from realtime_project.topics import Topic

log = Topic("acted.log", history=True)  # what happened, once each


class Counter(State, frozen=True):
    topic_out: Topic | None = None
    count: int = 0


def say(state: Any, text: str | bytes) -> Publish:
    return Publish(state.topic_out, text)
