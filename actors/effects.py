"""What an actor wants done: data, not deeds. A rule's handler returns a list of these, and the runtime performs them.

Own effects derive from Effect; `actors.runtime.performs` says how they are performed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from realtime_project.frames import legal_close_code
from realtime_project.publishing import Named, Publish, kind

from .addresses import target_of
from .messages import Secret

__all__ = [
    "Call",
    "Cancel",
    "Close",
    "Effect",
    "EventTimeout",
    "Postpone",
    "Publish",
    "Schedule",
    "StartClient",
    "StateTimeout",
    "StopClient",
    "Subscribe",
    "Unsubscribe",
    "Write",
]

STATE: Final = "state"  # the names of the two timers that end by themselves
EVENT: Final = "event"
LONGEST = 10 * 366 * 86_400.0  # seconds
SHORTEST = 0.01  # seconds between two ticks
REASON = 123  # bytes that a close frame has room for


class Effect:
    """The base of all effects but Publish, which topics know too."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Subscribe(Effect):
    """From now on what is published to `topic` goes to this client; or, with `op`, is given to `op(content)`, whose
    effects are performed; or, with `as_message`, comes to this actor as the message that `as_message(content)` makes
    of it, so that rules decide. `since`: of a durable topic, also what came after this offset.

    Subscribing again replaces the former subscription to this topic.
    """

    topic: Named
    op: Callable[[Any], Any] | None = None
    since: int | None = None
    as_message: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        _topic(self)
        for name, function in {"op": self.op, "as_message": self.as_message}.items():
            if function is not None and not callable(function):
                raise TypeError(f"{name} is a function of the content, not {kind(function)}")
        if self.op and self.as_message:
            raise ValueError("what is published is given to op, or comes as a message: not both")
        if self.since is not None and not self.topic.history:
            raise ValueError(f"{self.topic!r} keeps nothing: declare it with history=True to subscribe `since`")


@dataclass(frozen=True, slots=True)
class Unsubscribe(Effect):
    """End the subscription to `topic`. That there is none is no mistake."""

    topic: Named

    def __post_init__(self) -> None:
        _topic(self)


@dataclass(frozen=True, slots=True)
class Close(Effect):
    """Close the client's socket, after what was sent before. Its ClientDisconnected follows, as always."""

    code: int = 1000
    reason: str = ""

    def __post_init__(self) -> None:
        if type(self.code) is not int or not legal_close_code(self.code):
            raise ValueError(f"a close code is one that may be sent, best 4000 to 4999, not {kind(self.code)}")
        if len(self.reason.encode()) > REASON:
            raise ValueError(f"a close reason has at most {REASON} bytes, not {len(self.reason.encode())}")


@dataclass(frozen=True, slots=True)
class Schedule(Effect):
    """Tell this actor `message`, or Timeout(name), `after` so many seconds, and again `every` so many.

    One timer a name: scheduling it again replaces it.
    """

    name: str
    after: float | None = None
    every: float | None = None
    message: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name in (STATE, EVENT):
            raise ValueError(f"a timer's name is a str other than {STATE!r} and {EVENT!r}, not {kind(self.name)}")
        if self.after is None and self.every is None:
            raise ValueError(f"timer {self.name!r} needs `after`, `every` or both, in seconds")
        if self.after is not None:
            _seconds("after", self.after, 0)
        if self.every is not None:
            _seconds("every", self.every, SHORTEST)


@dataclass(frozen=True, slots=True)
class Cancel(Effect):
    """Stop the timer of this name. That there is none is no mistake."""

    name: str


@dataclass(frozen=True, slots=True)
class StateTimeout(Effect):
    """Timeout(STATE) after so many seconds, unless the state has changed by then: it begins anew in each state."""

    after: float

    def __post_init__(self) -> None:
        _seconds("after", self.after, 0)


@dataclass(frozen=True, slots=True)
class EventTimeout(Effect):
    """Timeout(EVENT) after so many seconds in which nothing came. Whatever comes ends it."""

    after: float

    def __post_init__(self) -> None:
        _seconds("after", self.after, 0)


@dataclass(frozen=True, slots=True)
class Postpone(Effect):
    """Put this message aside and handle it again once the state has changed, before what came later."""


@dataclass(frozen=True, init=False, slots=True)
class _Deed(Effect):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        if not callable(function):
            raise TypeError(f"{type(self).__name__} needs a function, not {kind(function)}")
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "arguments", arguments)


@dataclass(frozen=True, init=False, slots=True)
class Write(_Deed):
    """Write(function, *arguments): run in the transaction that saves the state, on the database's thread.

    If it raises, nothing is saved and nothing of this message happened.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"Write needs a plain function, which runs in the transaction; {function!r} is async")
        _Deed.__init__(self, function, *arguments)


@dataclass(frozen=True, init=False, slots=True)
class Call(_Deed):
    """Call(function, *arguments): await it beside the actor; what it returns comes back as a message.

    None is no message; what it raises comes back as CallFailed. Calls end when the actor stops.
    """

    function: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class StartClient(Effect):
    """Connect to the server at `url`, and again whenever the connection is lost, until StopClient or this actor's end.

    What comes goes into the topics of `in_stream_into`; what those of `out_stream_from` publish goes out. One client a
    name: the same name again, while it runs, is a mistake. See docs/outbound.md.
    """

    name: str
    url: Annotated[str, Secret] = field(repr=False)  # it may hold some
    in_stream_into: Sequence[Named] = ()
    out_stream_from: Sequence[Named] = ()
    headers: Annotated[Mapping[str, str], Secret] = field(default_factory=dict, repr=False)
    subprotocols: Sequence[str] = ()

    def __post_init__(self) -> None:
        target_of(self.url)
        streams(self.in_stream_into, self.out_stream_from)


@dataclass(frozen=True, slots=True)
class StopClient(Effect):
    """Close the connection of the client that this actor has started by this name. That there is none is a mistake."""

    name: str


def streams(into: Sequence[Named], out: Sequence[Named]) -> None:
    """Checks what a client stands between. Raises TypeError or ValueError."""
    for name, topics in {"in_stream_into": into, "out_stream_from": out}.items():
        if not isinstance(topics, list | tuple) or not all(isinstance(topic, Named) for topic in topics):
            raise TypeError(f"{name} is a list of topics, not {kind(topics)}")
    if not into and not out:
        raise ValueError("a client needs in_stream_into= or out_stream_from=: nothing could ever pass")
    if both := sorted({topic.name for topic in into} & {topic.name for topic in out}):
        raise ValueError(f"topic {both[0]!r} is in both directions: what came would be sent back")


def _topic(effect: Subscribe | Unsubscribe) -> None:
    if not isinstance(effect.topic, Named):
        raise TypeError(f"{type(effect).__name__} needs a Topic, not {kind(effect.topic)}")


def _seconds(name: str, value: Any, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name} is a number of seconds, not {kind(value)}")
    if not least <= value <= LONGEST:
        raise ValueError(f"{name} lies between {least:g} and {LONGEST:g} seconds, not {value!r}")
