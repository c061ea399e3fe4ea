"""Actors that take typed messages."""

from typing import Any

from actors.messages import ClientConnected, Message
from actors.rules import Rules
from tests.acted.counter import Counter, say


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
