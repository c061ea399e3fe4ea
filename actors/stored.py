"""States and timers ↔ JSON. One Codec an endpoint, which knows the types that may be stored there.

A topic is stored by its name; an actor's own two topics are stored as what they are, so that a state that is found
again leads to the client that has come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from realtime_project.publishing import Named
from realtime_project.topics import Topic

from .machine import Timer
from .rules import Rules
from .states import Done

OWN_OUT, OWN_IN = "@out", "@in"
MAX_STATE = 256 * 1024  # bytes of one stored state, and of its timers


class Unreadable(Exception):
    """Today's code cannot read a stored state."""


class Unstorable(TypeError):
    """A state, or a timer's message, that cannot be stored."""


class Own(NamedTuple):
    """The two topics of the actor that is stored or read."""

    topic_in: Named
    topic_out: Named


class StoredTimer(msgspec.Struct, frozen=True, array_like=True):
    name: str
    due: float  # seconds since 1970
    every: float | None = None
    message: Any = None  # text, or a typed message as its JSON object


class Codec:
    """states: the classes that may be stored; messages: those that a timer may carry."""

    def __init__(self, rules: Rules, states: tuple[type, ...], messages: tuple[type, ...]) -> None:
        self.version, self.upcasters = rules.version, rules.upcasters
        self.states = tuple(dict.fromkeys((*states, Done)))
        for each in self.states:
            config = getattr(each, "__struct_config__", None)
            if config is None or not config.frozen or config.tag is None:
                raise TypeError(f"persist=True stores states: frozen structs with tags, as State's are, not {each!r}")
        if missing := sorted(set(range(1, self.version)) - self.upcasters.keys()):
            raise TypeError(f"version {self.version} needs upcasters; none leads from {missing}")
        self._state: Any = _union(self.states)
        self._message: Any = _union(messages) if messages else None
        self._messages = messages
        msgspec.json.Decoder(self._state, dec_hook=_dec_hook)  # a union that cannot be told apart is refused here

    # states ---------------------------------------------------------------------------------------------------
    def encode(self, state: Any, own: Own) -> str:
        """Raises Unstorable."""
        if not isinstance(state, self.states):
            names = ", ".join(each.__name__ for each in self.states)
            raise Unstorable(f"{state!r:.200} cannot be stored here; these can: {names}")
        return _written(state, f"a {type(state).__name__}", partial(_enc_hook, own))

    def decode(self, text: str, version: int, own: Own) -> Any:
        """A stored state, brought to today's version. Raises Unreadable."""
        if version > self.version:
            raise Unreadable(f"it was stored by version {version}; this is version {self.version}")
        try:
            data = msgspec.json.decode(text)
            for each in range(version, self.version):
                data = self.upcasters[each](data)
            return msgspec.convert(data, self._state, dec_hook=partial(_dec_hook, own=own))
        except Exception as error:  # an upcaster's own mistake included
            raise Unreadable(f"version {version}: {error!r}") from error

    # timers ---------------------------------------------------------------------------------------------------
    def encode_timers(self, timers: Mapping[str, Timer], shift: float) -> str:
        """shift: what has to be added to the actor's clock to make it seconds since 1970. Raises Unstorable."""
        for name, timer in timers.items():
            if timer.message is not None and not isinstance(timer.message, (str, *self._messages)):
                raise Unstorable(f"timer {name!r}: {timer.message!r:.200} is neither text nor one of `messages`")
        stored = [StoredTimer(name, each.due + shift, each.every, each.message) for name, each in timers.items()]
        return _written(stored, "all the timers of one")

    def decode_timers(self, text: str, shift: float) -> dict[str, Timer]:
        """Raises Unreadable."""
        try:
            return {
                each.name: Timer(each.due - shift, each.every, self._told(each.message))
                for each in msgspec.json.decode(text, type=list[StoredTimer])
            }
        except msgspec.MsgspecError as error:
            raise Unreadable(f"timers: {error}") from error

    def _told(self, message: Any) -> Any:
        return message if message is None or isinstance(message, str) else msgspec.convert(message, self._message)


def _written(value: Any, what: str, hook: Any = None) -> str:
    try:
        text = msgspec.json.encode(value, enc_hook=hook)
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise Unstorable(f"{value!r:.200} cannot be stored: {error}") from None
    if len(text) > MAX_STATE:
        raise Unstorable(f"a stored state has at most {MAX_STATE} bytes; {what} has {len(text)}")
    return text.decode()


def _enc_hook(own: Own, value: Any) -> Any:
    if isinstance(value, Named):
        if value.name == own.topic_out.name:
            return OWN_OUT
        return OWN_IN if value.name == own.topic_in.name else {"topic": value.name, "history": value.history}
    raise NotImplementedError(f"a {type(value).__name__} has no form in JSON")


def _dec_hook(kind: type, value: Any, own: Own | None = None) -> Any:
    if own and isinstance(kind, type) and issubclass(kind, Named):
        if isinstance(value, str):
            return {OWN_OUT: own.topic_out, OWN_IN: own.topic_in}[value]
        return Topic(value["topic"], history=value["history"])
    raise NotImplementedError(f"{kind!r} cannot be read from JSON")


def _union(types: tuple[type, ...]) -> Any:
    union: Any = types[0]
    for each in types[1:]:
        union |= each
    return union
