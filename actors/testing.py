"""Rules without sockets: tell an actor messages, let virtual time pass, look at its state and at what it wants done.

    play = Play(rules, Guest())
    play.tell("bob")
    assert play.state == Named("bob")
    assert play.effects == [Publish(room, "* bob joined")]
    play.advance(30)

Nothing is performed: calls are answered by the test, writes and publishes are looked at. Pure, so it runs in no time.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from realtime_project.publishing import Named

from .effects import Call, Close
from .machine import OWN, Machine, Outcome
from .messages import CallFailed, ClientConnected, ClientDisconnected
from .rules import Effects, Rule, Rules

BEGUN = datetime(2000, 1, 1, tzinfo=UTC)  # when every play begins


class Handled(NamedTuple):
    """What one message came to. rule: None where no rule was for it, and at the beginning."""

    message: Any
    before: Any
    after: Any
    effects: Effects  # all of them
    rule: Rule | None


class Play:
    """One actor on a stage. Its clock stands still until advance().

    state: what it is in now · effects: everything it has wanted done, in order, timers apart · inner: what it has
    wanted of itself, in order: timers, and to postpone · dropped: messages that no rule was for · handled: every
    message and what it came to · stopped: it is Done, or its client has gone · now: seconds since the beginning.

    resumed: it takes a state up again instead of entering it.

    What a handler raises is raised here, and so is a wrong return: the state is then what it was.
    """

    def __init__(self, rules: Rules, state: Any, *, resumed: bool = False) -> None:
        self.now = 0.0
        self.effects: Effects = []
        self.inner: Effects = []
        self.handled: list[Handled] = []
        self.dropped: list[Any] = []
        self.stopped = False
        self._machine = Machine(rules, state)
        self._mailbox: deque[Any] = deque()
        if not resumed:
            self._happened(self._machine.begin(self.now), state, None, None)

    @property
    def state(self) -> Any:
        return self._machine.state

    @property
    def timers(self) -> dict[str, float]:
        """The timers that run: name → seconds from now."""
        return {name: timer.due - self.now for name, timer in self._machine.timers.items()}

    @property
    def postponed(self) -> list[Any]:
        return list(self._machine.postponed)

    @property
    def calls(self) -> list[Call]:
        """The calls that were wanted, in order."""
        return [effect for effect in self.effects if isinstance(effect, Call)]

    @property
    def closed(self) -> Close | None:
        """How the actor closed its socket, if it did."""
        return next((effect for effect in self.effects if isinstance(effect, Close)), None)

    def take(self) -> Effects:
        """The effects since the last take(), so that a test can look at one step at a time."""
        effects, self.effects = self.effects, []
        return effects

    def put(self, state: Any) -> None:
        """Put it into a state, whatever it was in; its timers and what it had put aside are forgotten."""
        self._machine = Machine(self._machine.rules, state)
        self.stopped = False

    # what happens to it ---------------------------------------------------------------------------------------
    def connect(self, **fields: Any) -> Effects:
        """Tell it ClientConnected, with these fields in the place of made-up ones; what it then wants done."""
        made_up = {"topic_in": Place("in"), "topic_out": Place("out")}
        return self.tell(ClientConnected(**{**self._client(), **made_up, **fields}))

    def disconnect(self, code: int = 1000, **fields: Any) -> Effects:
        """Tell it ClientDisconnected, after which it has stopped."""
        effects = self.tell(ClientDisconnected(**{**self._client(), "code": code, **fields}))
        self.stopped = True
        return effects

    def tell(self, message: Any) -> Effects:
        """Tell it a message; what it then wants done."""
        if self.stopped:
            raise AssertionError(f"the actor has stopped in {self.state!r}; it was told {message!r}")
        before = len(self.effects)
        self._mailbox.append(message)
        self._run()
        return self.effects[before:]

    def answer(self, result: Any) -> Effects:
        """Tell it the result of a call; an exception comes as CallFailed."""
        if isinstance(result, Exception):
            name = getattr(self.calls[-1].function, "__name__", "") if self.calls else ""
            return self.tell(CallFailed(name, repr(result)))
        return self.tell(result)

    def advance(self, seconds: float) -> Effects:
        """Let time pass: timers run out one by one, each at its time."""
        before, end = len(self.effects), self.now + seconds
        while not self.stopped:
            due = self._machine.next_due()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            for name in self._machine.due(self.now):
                message = self._machine.expire(name, self.now)
                if message is not None and not self.stopped:
                    self._mailbox.append(message)
                    self._run()
        self.now = end
        return self.effects[before:]

    # ----------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            while self._mailbox and not self.stopped:
                self._handle(self._mailbox.popleft())
        finally:
            self._mailbox.clear()

    def _handle(self, message: Any) -> None:
        machine = self._machine
        machine.heard()
        rule = machine.rules.find(message, machine.state)
        if rule is None:
            self.dropped.append(message)
            self.handled.append(Handled(message, machine.state, machine.state, [], None))
            return
        returned = rule.handler(message, machine.state)
        if inspect.iscoroutine(returned):
            returned = _finish(returned)
        self._happened(machine.decide(rule, returned, self.now), machine.state, message, rule)

    def _happened(self, outcome: Outcome, before: Any, message: Any, rule: Rule | None) -> None:
        self.handled.append(Handled(message, before, outcome.state, outcome.wanted, rule))
        self.inner += [effect for effect in outcome.wanted if type(effect) in OWN]
        self._mailbox.extendleft(reversed(self._machine.accept(outcome, message)))
        self.effects += outcome.effects
        self.stopped = outcome.is_final

    def _client(self) -> dict[str, Any]:
        return {
            "connection": "connection",
            "server": "server",
            "client_ip": "127.0.0.1",
            "path": "/ws/",
            "time": BEGUN + timedelta(seconds=self.now),
        }


class Place(Named):
    """A topic of the stage. Equal by name."""

    history = False

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Place({self.name!r})"


class Someone:
    """Who is connected, as far as a test or a recording says so. pk None: nobody who is logged in."""

    is_active = True
    is_staff = is_superuser = False

    def __init__(self, pk: Any, name: str = "") -> None:
        self.pk = self.id = pk
        self.username = self.name = name

    @property
    def is_authenticated(self) -> bool:
        return self.pk is not None

    @property
    def is_anonymous(self) -> bool:
        return self.pk is None

    def get_username(self) -> str:
        return self.username

    def __str__(self) -> str:
        return self.username

    def __repr__(self) -> str:
        return f"Someone({self.pk!r}, {self.username!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Someone) and other.pk == self.pk

    def __hash__(self) -> int:
        return hash(self.pk)


class Anything:
    """Equal to everything, and a function, so that it can stand for one: ANYTHING."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __call__(self, *args: Any) -> Any:
        raise AssertionError("ANYTHING stands for a function that is not known here")

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING = Anything()


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run an async handler that does not really wait."""
    waits: Exception | None = None
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    except RuntimeError as error:  # there is no event loop to wait in
        waits = error
    coroutine.close()
    raise AssertionError("this handler waits for something real: let it return Call(function, …) instead") from waits
