"""A rule table as a graph: the states that there are, what leads from one to another, and what is amiss.

The rule: it says what the table says. Where a rule leads is read by targets.py; what cannot be read is an edge to
UNKNOWN. A rule for any state is one edge from ANYWHERE, and one for many states is one from the group of them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from .messages import ClientConnected, ClientDisconnected, Timeout
from .patterns import Pattern
from .rules import Rule, Rules
from .states import Done, State
from .targets import SAME, UNKNOWN, first_states, kind_of, only_postpones, restricts, targets

ANYWHERE: Final = "*"  # the names of what is no state; a class's name is never one of these
NOWHERE: Final = "?"
MANY = 3  # states that a rule is for, from which on they are a group
LINE = 3  # states a line of a group's box


class Label(NamedTuple):
    """What brings an edge about: one rule."""

    text: str  # str, "add", Claimed, timeout state, is_full?
    kind: str  # "message", "timeout", "predicate" or "life": the client came or went
    rule: str  # the handler, with its module


class Node(NamedTuple):
    """One state. name: as its repr begins, which is how the registry shows it."""

    name: str
    is_first: bool = False
    is_final: bool = False
    notes: tuple[str, ...] = ()  # entry / hurry


class Edge(NamedTuple):
    source: str
    target: str
    labels: tuple[Label, ...]


class Graph(NamedTuple):
    """nodes: the states, and ANYWHERE and NOWHERE where an edge needs them. edges: one a pair, self loops included."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


class Table:
    """A rule table, looked at from outside. messages: the types that clients' JSON may have."""

    def __init__(self, rules: Rules, initial: Any = None, messages: Sequence[type] = ()) -> None:
        self.rules, self.messages = rules, messages
        self.first = [] if initial is None else [each for each in first_states(initial) if each is not UNKNOWN]
        self.led = {rule: targets(rule) for rule in rules.rules}
        self.states = list(self._find())

    def _find(self) -> Iterator[Any]:
        """Every state that is begun in, led to, or named by a rule: classes and plain values, each once."""
        led = [*self.first, *(each for found in self.led.values() for each in found if each not in (SAME, UNKNOWN))]
        patterns = [rule.state for rule in self.rules.rules]
        patterns += [passage.state for passage in (*self.rules.entries, *self.rules.exits)]
        named = [each for pattern in patterns for each in self._named(pattern)]
        concrete = list(dict.fromkeys(led))
        for each in dict.fromkeys([*self.first, *named, *concrete]):
            is_base = isinstance(each, type) and any(
                isinstance(other, type) and other is not each and issubclass(other, each) for other in (*named, *led)
            )
            if each in concrete or not is_base:
                yield each

    def _named(self, pattern: Pattern) -> list[Any]:
        if pattern.is_literal:
            return [kind_of(pattern.source)]
        types = [each for each in pattern.types if each not in (State, object, Any)]
        return [member for each in types for member in (list(each) if issubclass(each, enum.Enum) else [each])]

    def of(self, pattern: Pattern) -> list[Any] | None:
        """The states that a pattern is about; None for all of them."""
        if pattern.is_literal:
            return [state for state in self.states if state == kind_of(pattern.source)]
        types = pattern.types
        if pattern.source is Any or State in types or object in types:
            return None
        types = types or restricts(pattern.source)
        if not types:
            return None
        return [
            state
            for state in self.states
            if issubclass(state if isinstance(state, type) else type(state), types) and state is not Done
        ]

    # the picture ----------------------------------------------------------------------------------------------
    def graph(self) -> Graph:
        edges: dict[tuple[str, str], list[Label]] = {}
        for rule, led in self.led.items():
            sources = self.of(rule.state)
            label = _label(rule)
            for source in self._sources(sources):
                for target in led:
                    name = NOWHERE if target is UNKNOWN else source if target is SAME else name_of(target)
                    key = source, f"{NOWHERE}{source}" if name == NOWHERE else name
                    if label not in edges.setdefault(key, []):
                        edges[key].append(label)
        nodes = [
            Node(name_of(state), state in self.first, state is Done, tuple(self._notes(state))) for state in self.states
        ]
        known = {node.name for node in nodes}
        others = dict.fromkeys(name for key in edges for name in key if name not in known)
        nodes += [Node(name, notes=tuple(_lines(members_of(name)))) for name in others]
        return Graph(tuple(nodes), tuple(Edge(*key, tuple(labels)) for key, labels in edges.items()))

    def _sources(self, states: list[Any] | None) -> list[str]:
        if states is None:
            return [ANYWHERE]
        names = list(map(name_of, states))
        return names if len(names) < MANY else [f"{ANYWHERE}{'|'.join(names)}"]

    def _notes(self, state: Any) -> Iterator[str]:
        for word, passages in (("entry", self.rules.entries), ("exit", self.rules.exits)):
            for passage in passages:
                about = self.of(passage.state)
                if about is None or state in about:
                    yield f"{word} / {getattr(passage.function, '__name__', '…')}"
                    break  # the first that matches

    # what is amiss --------------------------------------------------------------------------------------------
    def dead_ends(self) -> list[str]:
        """States that nothing leaves, and in which nothing that a client or a topic may send is handled.

        A state that nothing leaves but which answers is where an actor rests: nothing is amiss there.
        """
        found = []
        for state in self.states:
            if state is Done or self._is_ignored(None, state):
                continue
            rules = [rule for rule in self.rules.rules if self._covers(rule.state, state)]
            leaves = any(target is not SAME and target != state for rule in rules for target in self.led[rule])
            answers = any(not _is_of_life(rule.message) and not only_postpones(rule) for rule in rules)
            if not leaves and not answers:
                found.append(name_of(state))
        return found

    def unhandled(self) -> list[tuple[str, str]]:
        """(message, state): what clients may send there and what no rule is for. Messages: the endpoint's types, and
        of str and bytes those for which some state has a rule. Not in the first state where ClientConnected always
        leads away from it and nothing leads back: no client is heard there."""
        kinds = [kind for kind in (str, bytes) if any(self._takes(rule, kind) for rule in self.rules.rules)]
        return [
            (kind.__name__, name_of(state))
            for state in self.states
            if state is not Done and not self._is_passed_at_once(state)
            for kind in (*self.messages, *kinds)
            if not self._is_ignored(kind, state)
            and not any(
                self._covers(rule.state, state) and self._takes(rule, kind, or_anything=True)
                for rule in self.rules.rules
            )
        ]

    def _covers(self, pattern: Pattern, state: Any) -> bool:
        about = self.of(pattern)
        return about is None or state in about

    def _takes(self, rule: Rule, kind: type, or_anything: bool = False) -> bool:
        """Whether a rule is for some message of a type."""
        pattern = rule.message
        if pattern.is_literal:
            return type(pattern.source) is kind
        if pattern.source is Any:
            return or_anything
        if pattern.types:
            return issubclass(kind, pattern.types) and (or_anything or object not in pattern.types)
        about = restricts(pattern.source)
        return issubclass(kind, about) if about else or_anything

    def _is_ignored(self, kind: type | None, state: Any) -> bool:
        """kind None: whether everything is."""
        for message, pattern in self.rules.ignored:
            whole = message.source is Any
            if self._covers(pattern, state) and (whole or (kind is not None and issubclass(kind, message.types))):
                return True
        return False

    def _is_passed_at_once(self, state: Any) -> bool:
        if state not in self.first:
            return False
        comes = [rule for rule in self.rules.rules if self._covers(rule.state, state)]
        greets = next((rule for rule in comes if _is_greeting(rule.message)), None)
        if greets is None or {SAME, UNKNOWN} & set(self.led[greets]) or state in self.led[greets]:
            return False
        return not any(state in led for rule, led in self.led.items() if rule is not greets)


def members_of(name: str) -> list[str]:
    """The states of a group; [] for any other node."""
    return name.removeprefix(ANYWHERE).split("|") if name.startswith(ANYWHERE) and name != ANYWHERE else []


def _lines(names: list[str]) -> Iterator[str]:
    for place in range(0, len(names), LINE):
        yield ", ".join(names[place : place + LINE]) + ("," if place + LINE < len(names) else "")


def name_of(state: Any) -> str:
    """As the registry shows it: the beginning of its repr."""
    return state.__name__ if isinstance(state, type) else repr(state)


def _label(rule: Rule) -> Label:
    pattern, kind = rule.message, "message"
    text = repr(pattern)
    if pattern.source is Any:
        text = "anything"
    elif pattern.types:
        text = " | ".join(each.__name__ for each in pattern.types)
        if set(pattern.types) <= {ClientConnected, ClientDisconnected}:
            kind = "life"
        elif set(pattern.types) == {Timeout}:
            text, kind = "any timeout", "timeout"
    elif isinstance(pattern.source, Timeout):
        text, kind = f"timeout {pattern.source.name}", "timeout"
    elif not pattern.is_literal:
        text, kind = _question(pattern), "predicate"
    if not rule.state.types and not rule.state.is_literal:
        text, kind = f"{text} [{_question(rule.state)}]", "predicate"
    elif rule.state.is_literal and not isinstance(rule.state.source, enum.Enum | str | int | None):
        text, kind = f"{text} [= {rule.state!r:.40}]", "predicate"
    handler = rule.handler
    name = f"{getattr(handler, '__module__', '')}.{getattr(handler, '__qualname__', type(handler).__name__)}"
    return Label(text if len(text) <= 48 else f"{text[:47]}…", kind, name)


def _question(pattern: Pattern) -> str:
    name = getattr(pattern.source, "__name__", "")
    return "some predicate" if name in ("", "<lambda>") else f"{name}?"


def _is_of_life(pattern: Pattern) -> bool:
    return bool(pattern.types) and set(pattern.types) <= {ClientConnected, ClientDisconnected}


def _is_greeting(pattern: Pattern) -> bool:
    return pattern.source is Any or any(issubclass(ClientConnected, each) for each in pattern.types)
