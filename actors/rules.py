"""Rules: ordered (message pattern, state pattern) → handler. The first that matches decides.

Pure: `transition(state, message)` gives effects and a new state, and does nothing.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from realtime_project.publishing import Publish

from .effects import Effect
from .patterns import Check, Pattern
from .states import State, phase

KNOWN = 10_000  # pairs of types whose rules are remembered

Handler = Callable[..., Any]
AnyHandler = TypeVar("AnyHandler", bound=Handler)
Effects = list[Effect | Publish]
Data = dict[str, Any]


class RuleError(Exception):
    """A handler that does not keep its promise. Says which rule, where it stands and what was allowed."""


class Rule:
    """One row of the table."""

    __slots__ = ("handler", "is_async", "message", "state", "to", "where")

    def __init__(self, message: Pattern, state: Pattern, handler: Handler, to: tuple[Pattern, ...] | None) -> None:
        self.message, self.state, self.handler, self.to = message, state, handler, to
        self.is_async = inspect.iscoroutinefunction(handler)
        self.where = _where(handler)

    def __repr__(self) -> str:
        return f"rule ({self.message!r}, {self.state!r}) at {self.where}"

    def settle(self, returned: Any) -> tuple[Effects, Any]:
        """What the handler returned, if it is (effects, new state). Raises RuleError."""
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise RuleError(f"{self!r}: a handler returns (effects, new state), not {returned!r:.200}")
        effects, state = returned
        return effects_of(effects, self), state

    def check(self, old: Any, new: Any) -> None:
        """Raises RuleError where a rule that says where it leads has led elsewhere. Staying is always allowed."""
        if self.to is not None and phase(new) != phase(old) and not any(map(partial(_is_of, new), self.to)):
            raise RuleError(
                f"{self!r} leads to {', '.join(map(repr, self.to)) or 'no other state'}, not to {new!r:.200}"
            )


def effects_of(effects: Any, source: object) -> Effects:
    """A list of effects. Raises RuleError, in the name of where they come from."""
    if not isinstance(effects, list | tuple):
        raise RuleError(f"{source!r}: effects are a list, not {effects!r:.200}")
    for effect in effects:
        if not isinstance(effect, Effect | Publish):
            raise RuleError(f"{source!r}: {effect!r:.200} is no effect; there are {', '.join(_known(Effect))}")
    return effects  # type: ignore[return-value]


def _known(base: type[Any]) -> list[str]:
    """The names of all effects."""
    names = {base.__name__} if base is not Effect else {"Publish"}
    for derived in base.__subclasses__():
        names.update(_known(derived))
    return sorted(name for name in names if not name.startswith("_"))


class Passage(NamedTuple):
    """What happens when a state is entered or left: a function of the state, giving effects."""

    state: Pattern
    function: Callable[[Any], Any]

    def __repr__(self) -> str:
        return f"{getattr(self.function, '__name__', self.function)} of {self.state!r} at {_where(self.function)}"

    def effects(self, state: Any) -> Effects:
        effects = self.function(state)
        return [] if effects is None else effects_of(effects, self)


class Step(NamedTuple):
    """A rule for one pair of types, and what has still to be asked of the values."""

    literals: dict[Any, Rule] | None  # messages that need no more asking, each with its rule
    message: Check | None
    state: Check | None
    rule: Rule | None


class Rules:
    """A table of rules. Declare them with `on`, or give a dict {(message pattern, state pattern): handler}.

    A handler is called with (message, state), may be async, and returns (effects, new state).
    version: of the states' shape, where they are stored; see `upcast`.
    """

    def __init__(self, table: Mapping[tuple[Any, Any], Handler] | None = None, *, version: int = 1) -> None:
        if type(version) is not int or version < 1:
            raise ValueError(f"a version counts from 1, not {version!r}")
        self.version = version
        self.rules: list[Rule] = []
        self.entries: list[Passage] = []
        self.exits: list[Passage] = []
        self.ignored: list[tuple[Pattern, Pattern]] = []
        self.upcasters: dict[int, Callable[[Data], Data]] = {}
        self._compiled: dict[tuple[type, type], tuple[Step, ...]] = {}
        for key, handler in (table or {}).items():
            if not isinstance(key, tuple) or len(key) != 2:
                raise TypeError(f"a rule's key is (message pattern, state pattern), not {key!r}")
            self.on(*key)(handler)

    # declaring ------------------------------------------------------------------------------------------------
    def on(self, message: Any, state: Any, *, to: Sequence[Any] | None = None) -> Callable[[AnyHandler], AnyHandler]:
        """Declare a rule: `@rules.on(str, Named)` above `def say(message, state)`.

        to: the states that it may lead to, where a diagram cannot see it; another one is then a mistake. `[]`: none.
        """
        patterns = Pattern(message), Pattern(state)
        if to is not None and not isinstance(to, list | tuple):
            raise TypeError(f"to is a list of states, not {to!r:.200}")
        led = None if to is None else tuple(map(Pattern, to))

        def declare(handler: AnyHandler) -> AnyHandler:
            _callable_with(handler, 2, "a handler is called with (message, state)")
            self._add(Rule(*patterns, handler, led))
            return handler

        return declare

    def ignore(self, message: Any, state: Any) -> None:
        """Say that what no rule is for is dropped on purpose: `rules.ignore(bytes, Named)`. `check` then is content."""
        self.ignored.append((Pattern(message), Pattern(state)))

    def on_entry(self, state: Any) -> Callable[[AnyHandler], AnyHandler]:
        """`@rules.on_entry(Waiting)` above `def begin(state)`: its effects follow those of the rule that led here."""
        return self._passage(self.entries, state)

    def on_exit(self, state: Any) -> Callable[[AnyHandler], AnyHandler]:
        """`@rules.on_exit(Waiting)` above `def end(state)`: its effects precede those of the rule that leads away."""
        return self._passage(self.exits, state)

    def upcast(self, version: int) -> Callable[[AnyHandler], AnyHandler]:
        """`@rules.upcast(1)` above `def split_name(data)`: turns a stored state of version 1 into one of version 2.

        It is given, and returns, the JSON object: {"state": "Named", "name": "bob"}.
        """

        def declare(function: AnyHandler) -> AnyHandler:
            _callable_with(function, 1, "an upcaster is called with the stored data")
            if not 1 <= version < self.version:
                raise ValueError(f"an upcaster leads from a version below {self.version}, not from {version!r}")
            if version in self.upcasters:
                raise ValueError(f"version {version} has an upcaster: {_where(self.upcasters[version])}")
            self.upcasters[version] = function
            return function

        return declare

    def __or__(self, other: Rules) -> Rules:
        """Both tables, this one's rules first."""
        if not isinstance(other, Rules):
            return NotImplemented
        both = Rules(version=max(self.version, other.version))
        for rules in (self, other):
            for rule in rules.rules:
                both._add(rule)
            for passage in rules.entries:
                _add_passage(both.entries, passage)
            for passage in rules.exits:
                _add_passage(both.exits, passage)
            both.ignored += rules.ignored
            for version, function in rules.upcasters.items():
                both.upcast(version)(function)
        return both

    def _add(self, rule: Rule) -> None:
        for known in self.rules:
            if known.message == rule.message and known.state == rule.state:
                raise ValueError(f"{rule!r} is declared already, at {known.where}")
        self.rules.append(rule)
        self._compiled.clear()

    def _passage(self, passages: list[Passage], state: Any) -> Callable[[AnyHandler], AnyHandler]:
        pattern = Pattern(state)

        def declare(function: AnyHandler) -> AnyHandler:
            _callable_with(function, 1, "what happens on a state's entry or exit is called with the state")
            _add_passage(passages, Passage(pattern, function))
            return function

        return declare

    def states(self) -> list[type]:
        """The tagged structs that the rules name as states."""
        patterns = [pattern for rule in self.rules for pattern in (rule.state, *(rule.to or ()))]
        patterns += [passage.state for passage in (*self.entries, *self.exits)]
        named = dict.fromkeys(each for pattern in patterns for each in (*pattern.types, type(pattern.source)))
        return [
            each
            for each in named
            if getattr(getattr(each, "__struct_config__", None), "tag", None) and each is not State
        ]

    # deciding -------------------------------------------------------------------------------------------------
    def find(self, message: Any, state: Any) -> Rule | None:
        """The first rule that matches. Costs the same however long the table is."""
        kinds = type(message), type(state)
        steps = self._compiled.get(kinds)
        if steps is None:
            steps = self._compile(*kinds)
        for literals, fits_message, fits_state, rule in steps:
            if literals is not None:
                try:
                    if found := literals.get(message):
                        return found
                except TypeError:  # it has no hash, so it equals none of these
                    pass
            elif (fits_message is None or fits_message(message)) and (fits_state is None or fits_state(state)):
                return rule
        return None

    def _compile(self, message: type, state: type) -> tuple[Step, ...]:
        """Ask of the types what can be asked of them, once."""
        steps: list[Step] = []
        for rule in self.rules:
            fits_message, fits_state = rule.message.fits(message), rule.state.fits(state)
            if fits_message is False or fits_state is False:
                continue
            if rule.message.is_literal and fits_state is True and _hashable(rule.message.source):
                if not steps or steps[-1].literals is None:
                    steps.append(Step({}, None, None, None))
                steps[-1].literals.setdefault(rule.message.source, rule)  # type: ignore[union-attr]
                continue
            step = Step(
                None,
                None if fits_message is True else fits_message,
                None if fits_state is True else fits_state,
                rule,
            )
            steps.append(step)
            if step.message is None and step.state is None:  # nothing gets past it
                break
        if len(self._compiled) >= KNOWN:
            self._compiled.clear()
        compiled = self._compiled[message, state] = tuple(steps)
        return compiled

    def passing(self, old: Any, new: Any) -> tuple[Effects, Effects]:
        """The effects of leaving one state and of entering another; none where it is the same one."""
        if not (self.entries or self.exits) or phase(old) == phase(new):
            return [], []
        return _passing(self.exits, old), _passing(self.entries, new)

    def entering(self, state: Any) -> Effects:
        """The effects of beginning in a state."""
        return _passing(self.entries, state)

    def complete(self, rule: Rule, old: Any, returned: Any) -> tuple[Effects, Any]:
        """What a rule's handler returned, with the effects of the states that are left and entered."""
        effects, state = rule.settle(returned)
        if rule.to is not None:
            rule.check(old, state)
        leaving, entering = self.passing(old, state)
        return ([*leaving, *effects, *entering] if leaving or entering else effects), state

    def transition(self, state: Any, message: Any) -> tuple[Effects, Any]:
        """(effects, new state), by the first rule that matches; ([], state) where none does.

        Raises what the handler raises, and RuleError. An async handler needs `await atransition(…)`.
        """
        rule = self.find(message, state)
        if rule is None:
            return [], state
        if rule.is_async:
            raise TypeError(f"{rule!r} is async: await atransition(state, message)")
        return self.complete(rule, state, rule.handler(message, state))

    async def atransition(self, state: Any, message: Any) -> tuple[Effects, Any]:
        """As transition(), also for async handlers."""
        rule = self.find(message, state)
        if rule is None:
            return [], state
        returned = rule.handler(message, state)
        return self.complete(rule, state, await returned if inspect.isawaitable(returned) else returned)


def _add_passage(passages: list[Passage], passage: Passage) -> None:
    if known := next((each for each in passages if each.state == passage.state), None):
        raise ValueError(f"{passage!r} is declared for {passage.state!r} already: {known!r}")
    passages.append(passage)


def _passing(passages: list[Passage], state: Any) -> Effects:
    for passage in passages:
        if _is_of(state, passage.state):
            return passage.effects(state)
    return []


def _is_of(state: Any, pattern: Pattern) -> bool:
    fits = pattern.fits(type(state))
    return fits is True or (fits is not False and fits(state))


def _callable_with(function: Any, number: int, rule: str) -> None:
    if not callable(function):
        raise TypeError(f"{rule}; {function!r} is no function")
    try:
        inspect.signature(function).bind(*range(number))
    except ValueError:  # some builtins do not tell
        return
    except TypeError:
        raise TypeError(f"{rule}; {function!r} at {_where(function)} takes other arguments") from None


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _where(function: Any) -> str:
    """File and line, the file as short as it can be found from here."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return repr(function)
    path = Path(code.co_filename)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{code.co_firstlineno}"
