"""An actor without a world: its state, its timers and what it has put aside. The runtime and the test kit drive it.

Pure: it is told the time, and says what is to be done. Nothing changes before accept(), so that a transition that
cannot be saved has not happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .effects import EVENT, STATE, Cancel, Effect, EventTimeout, Postpone, Publish, Schedule, StateTimeout
from .messages import Timeout
from .rules import Effects, Rule, RuleError, Rules
from .sizes import size_of
from .states import Done, phase

TIMERS = 1_000  # of one actor
POSTPONED = 1_000  # messages that it has put aside
HELD = 32 * 1024 * 1024  # bytes of them, before the last: one may have 16 MiB

OWN = frozenset({Cancel, EventTimeout, Postpone, Schedule, StateTimeout})  # performed here


class Timer(NamedTuple):
    due: float  # on the clock of whoever drives
    every: float | None = None  # seconds
    message: Any = None  # None: Timeout(name)


class Outcome(NamedTuple):
    """What a message comes to: not yet true."""

    state: Any
    effects: Effects  # those that concern the world, in order
    wanted: Effects  # all of them
    timers: Mapping[str, Timer] | None = None  # None: as they were
    is_postponed: bool = False
    has_moved: bool = False  # another state was entered

    @property
    def is_final(self) -> bool:
        return isinstance(self.state, Done)


class Machine:
    """One actor's inner life."""

    __slots__ = ("held", "postponed", "rules", "state", "timers")

    def __init__(self, rules: Rules, state: Any, timers: Mapping[str, Timer] | None = None) -> None:
        self.rules, self.state = rules, state
        self.timers: dict[str, Timer] = dict(timers or {})
        self.postponed: list[Any] = []
        self.held = 0  # bytes of them

    # what a message comes to ----------------------------------------------------------------------------------
    def begin(self, now: float) -> Outcome:
        """Entering the first state."""
        return self._sort(None, self.rules.entering(self.state), self.state, now)

    def heard(self) -> Timer | None:
        """Something came: the event timeout has ended, if there was one."""
        return self.timers.pop(EVENT, None) if self.timers else None

    def decide(self, rule: Rule, returned: Any, now: float) -> Outcome:
        """What a rule's handler returned → what is to be done. Raises RuleError."""
        old = self.state
        effects, state = self.rules.complete(rule, old, returned)
        if isinstance(state, type):
            raise RuleError(f"{rule!r}: a state is a value, not a class: {state.__name__}(…)")
        return self._sort(rule, effects, state, now)

    def follow(self, effects: Effects, now: float) -> Outcome:
        """Effects that come without a rule, as an operation's do: the state stays."""
        return self._sort(None, effects, self.state, now)

    def _sort(self, rule: Rule | None, effects: Effects, state: Any, now: float) -> Outcome:
        has_moved = state is not self.state and phase(state) != phase(self.state)
        is_postponed, timers, world = False, None, effects
        if has_moved and STATE in self.timers:
            timers = {name: timer for name, timer in self.timers.items() if name != STATE}
        if not OWN.isdisjoint(map(type, effects)):
            timers, world = dict(self.timers if timers is None else timers), []
            for effect in effects:
                if type(effect) not in OWN:
                    world.append(effect)
                elif isinstance(effect, Postpone):
                    is_postponed = True
                else:
                    _set(timers, effect, now)
            if len(timers) > TIMERS:
                raise RuleError(f"{rule!r}: an actor has at most {TIMERS} timers")
            if is_postponed and (rule is None or len(self.postponed) >= POSTPONED or self.held >= HELD):
                most = f"at most {POSTPONED} at a time, of {HELD >> 20} MiB"
                raise RuleError(f"{rule!r}: a message can be postponed, {most}")
        return Outcome(state, world, effects, timers, is_postponed, has_moved)

    def accept(self, outcome: Outcome, message: Any = None) -> Sequence[Any]:
        """It has happened. Returns the messages that were put aside and are due again, before any other."""
        self.state = outcome.state
        if outcome.timers is not None:
            self.timers = dict(outcome.timers)
        if outcome.is_postponed:
            self.postponed.append(message)
            self.held += size_of(message)
        if not outcome.has_moved or not self.postponed:
            return ()
        again, self.postponed, self.held = self.postponed, [], 0
        return again

    # timers ---------------------------------------------------------------------------------------------------
    def next_due(self) -> float | None:
        return min((timer.due for timer in self.timers.values()), default=None)

    def due(self, now: float) -> list[str]:
        """The timers that have run out, in the order in which they did."""
        return [
            name for _, name in sorted((timer.due, name) for name, timer in self.timers.items() if timer.due <= now)
        ]

    def expire(self, name: str, now: float) -> Any | None:
        """The message of a timer that has run out; None where it was cancelled or set anew meanwhile.

        One that repeats goes on from where it was due. Ticks that were missed are not made up for.
        """
        timer = self.timers.get(name)
        if timer is None or timer.due > now:
            return None
        if timer.every is None:
            del self.timers[name]
        else:
            missed = math.floor((now - timer.due) / timer.every) + 1
            self.timers[name] = timer._replace(due=timer.due + missed * timer.every)
        return Timeout(name) if timer.message is None else timer.message

    def restore(self, ended: Mapping[str, Timer], soonest: float) -> None:
        """What ended these timers has not happened: they run on, and run out at `soonest` or later."""
        for name, timer in ended.items():
            self.timers.setdefault(name, timer._replace(due=max(timer.due, soonest)))


def _set(timers: dict[str, Timer], effect: Effect | Publish, now: float) -> None:
    if isinstance(effect, Schedule):
        wait = effect.every if effect.after is None else effect.after
        timers[effect.name] = Timer(now + (wait or 0.0), effect.every, effect.message)
    elif isinstance(effect, StateTimeout):
        timers[STATE] = Timer(now + effect.after)
    elif isinstance(effect, EventTimeout):
        timers[EVENT] = Timer(now + effect.after)
    elif isinstance(effect, Cancel):
        timers.pop(effect.name, None)
