"""What an actor can be in: states are values, best frozen structs with a tag, so that they can be stored as JSON."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class State(msgspec.Struct, frozen=True, tag=True, tag_field="state"):
    """The base of states that can be stored: `class Named(State, frozen=True): name: str`.

    The class is the state's name and its fields are its data. Any other value will do where nothing is stored.
    """


class Done(State, frozen=True):
    """The final state: the actor stops, and a socket that is still open is closed with 1000."""


def phase(state: Any) -> Any:
    """What has to change for a state to be left and another entered: the class, or the value of a plain one."""
    return state if isinstance(state, enum.Enum | str | int | None) else type(state)
