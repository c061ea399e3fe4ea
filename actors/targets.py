"""Where a rule leads: the states that a handler may return, without calling it.

The rule: nothing is guessed. What `to=` declares is so; else what the handler's `return` statements say is read from
its source, else what its annotation says; a state that neither names is UNKNOWN, and is drawn as that.

Read are `return effects, Named(…)`, `state`, `replace(state, …)`, either of two, a variable of the handler, a member
of an enumeration, a plain value, and a call of a function that says or shows what it returns.
"""

from __future__ import annotations

import ast
import builtins
import copy
import dataclasses
import enum
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args, get_origin

import msgspec

from .patterns import Pattern
from .rules import Rule
from .states import State

DEPTH = 6  # functions that call functions


class Mark(enum.Enum):
    """What is no state."""

    SAME = "same"  # the state stays
    UNKNOWN = "unknown"


SAME: Final = Mark.SAME
UNKNOWN: Final = Mark.UNKNOWN
Target = Any  # a class of states, a plain value that is a state, SAME or UNKNOWN
COPIES = [msgspec.structs.replace, dataclasses.replace, copy.copy, copy.deepcopy]


def targets(rule: Rule) -> list[Target]:
    """The states that a rule may lead to, each once: classes, plain values, SAME, UNKNOWN."""
    if rule.to is not None:
        return _once(_declared(rule.to)) or [SAME]
    handler = inspect.unwrap(rule.handler)
    reader = _Reader(handler)
    if reader.node is not None and not any(reader.returned()):
        return [SAME]  # it only raises, and then the state is kept
    found = _once(reader.pairs())
    if found and UNKNOWN not in found:
        return found
    return _once(_annotated(_hint(handler, "return"), is_pair=True)) or found or [UNKNOWN]


def first_states(initial: Any) -> list[Target]:
    """The states in which an endpoint's actors begin: of its initial state, or of the function that gives it."""
    if not callable(initial) or hasattr(initial, "__struct_fields__"):
        return [kind_of(initial)]
    function = inspect.unwrap(initial)
    found = _once(_annotated(_hint(function, "return"), is_pair=False))
    return found or [each for each in _once(_Reader(function, stays=False).values()) if each is not SAME] or [UNKNOWN]


def only_postpones(rule: Rule) -> bool:
    """Whether a rule does nothing but put the message aside, as far as its source says so."""
    shapes = list(_Reader(inspect.unwrap(rule.handler)).effects())
    return bool(shapes) and all(shape == ["Postpone"] for shape in shapes)


def restricts(predicate: Callable[..., Any]) -> tuple[type, ...]:
    """The types that a predicate says it is about, by the annotation of its parameter; () where it does not."""
    try:
        first = next(iter(inspect.signature(predicate).parameters))
    except (TypeError, ValueError, StopIteration):
        return ()
    hint = _hint(predicate, first)
    return () if hint is None or hint is Any or not isinstance(hint, type | types.UnionType) else Pattern(hint).types


def kind_of(state: Any) -> Target:
    """What a state is called by: its class, or itself where it is a plain value."""
    return state if isinstance(state, enum.Enum | str | int | None) else type(state)


def _declared(to: tuple[Pattern, ...]) -> Iterator[Target]:
    for pattern in to:
        yield from pattern.types or ([kind_of(pattern.source)] if pattern.is_literal else [UNKNOWN])


def _once(found: typing.Iterable[Target]) -> list[Target]:
    once: list[Target] = []
    for each in found:
        if not any(each is known or (type(each) is type(known) and each == known) for known in once):
            once.append(each)
    return once


def _hint(function: Any, name: str) -> Any:
    try:
        return typing.get_type_hints(function).get(name)
    except Exception:  # a name that is imported for the checker alone, or no function at all
        return None


def _annotated(hint: Any, *, is_pair: bool) -> list[Target]:
    """What an annotation says: tuple[…, A | B] of a handler, A | B of a function that gives a state."""
    if is_pair:
        parts = get_args(hint) if get_origin(hint) is tuple else ()
        if len(parts) != 2:
            return []
        hint = parts[1]
    if isinstance(hint, typing.TypeVar):
        return [SAME]
    try:
        kinds = Pattern(hint).types
    except TypeError:
        return []
    return [] if not kinds or {Any, State, object} & set(kinds) else list(kinds)


class _Reader:
    """Reads one function's source."""

    def __init__(self, function: Any, depth: int = 0, stays: bool | set[str] = True) -> None:
        """stays: the parameters that hold the state; True for a handler's second."""
        self.depth = depth
        self.node = _tree(function)
        self.names = _names(function)
        parameters = [] if self.node is None else [each.arg for each in self.node.args.args]
        if isinstance(stays, bool):
            stays = set(parameters[1:2]) if stays else set()
        self.stays = stays
        self.assigned: dict[str, list[ast.expr]] = {}
        for each in self._inside():
            if isinstance(each, ast.Assign) and len(each.targets) == 1 and isinstance(each.targets[0], ast.Name):
                self.assigned.setdefault(each.targets[0].id, []).append(each.value)
            elif isinstance(each, ast.AnnAssign | ast.NamedExpr) and isinstance(each.target, ast.Name) and each.value:
                self.assigned.setdefault(each.target.id, []).append(each.value)
        self._reading: set[str] = set()

    def returned(self) -> Iterator[ast.expr]:
        if isinstance(self.node, ast.Lambda):
            yield self.node.body
        for each in self._inside():
            if isinstance(each, ast.Return) and each.value is not None:
                yield each.value

    def _inside(self) -> Iterator[ast.AST]:
        """The function's own nodes, not those of functions in it."""
        waiting: list[ast.AST] = [] if self.node is None or isinstance(self.node, ast.Lambda) else [*self.node.body]
        while waiting:
            node = waiting.pop(0)
            yield node
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
                waiting[:0] = ast.iter_child_nodes(node)

    # what is returned -----------------------------------------------------------------------------------------
    def pairs(self) -> Iterator[Target]:
        """Of (effects, state): the states."""
        for value in self.returned():
            yield from self._pair(value)

    def values(self) -> Iterator[Target]:
        for value in self.returned():
            yield from self.state(value)

    def effects(self) -> Iterator[list[str]]:
        """Of each return: the names of the effects, where they stand there as a list of calls; [] where they do not."""
        for value in self.returned():
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            listed = parts[0].elts if len(parts) == 2 and isinstance(parts[0], ast.List | ast.Tuple) else []
            yield [each.func.id for each in listed if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]

    def _pair(self, value: ast.expr) -> Iterator[Target]:
        if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == 2:
            yield from self.state(value.elts[1])
        elif isinstance(value, ast.IfExp):
            yield from self._pair(value.body)
            yield from self._pair(value.orelse)
        elif isinstance(value, ast.Await):
            yield from self._pair(value.value)
        elif isinstance(value, ast.Name) and value.id in self.assigned and value.id not in self._reading:
            self._reading.add(value.id)
            for each in self.assigned[value.id]:
                yield from self._pair(each)
            self._reading.discard(value.id)
        elif isinstance(value, ast.Call):
            yield from self._called(value, is_pair=True)
        else:
            yield UNKNOWN

    def state(self, value: ast.expr) -> Iterator[Target]:
        """The states that an expression may be."""
        if isinstance(value, ast.IfExp):
            yield from self.state(value.body)
            yield from self.state(value.orelse)
        elif isinstance(value, ast.BoolOp):
            for each in value.values:
                yield from self.state(each)
        elif isinstance(value, ast.NamedExpr | ast.Await):
            yield from self.state(value.value)
        elif isinstance(value, ast.Constant):
            yield value.value
        elif isinstance(value, ast.Name) and (value.id in self.stays or value.id in self.assigned):
            yield from self._variable(value.id)
        elif isinstance(value, ast.Call):
            yield from self._called(value, is_pair=False)
        else:
            found = self._object(value)
            yield UNKNOWN if found is None or isinstance(found, Mark) or callable(found) else kind_of(found)

    def _variable(self, name: str) -> Iterator[Target]:
        if name in self.stays:
            yield SAME
        if name in self._reading:
            return
        self._reading.add(name)
        for each in self.assigned.get(name, ()):
            yield from self.state(each)
        self._reading.discard(name)

    def _called(self, call: ast.Call, *, is_pair: bool) -> Iterator[Target]:
        function = self._object(call.func)
        if function is None and isinstance(call.func, ast.Call) and getattr(call.func.func, "id", "") == "type":
            yield from self.state(call.func.args[0])  # type(state)(…)
        elif isinstance(function, type) and not is_pair:
            yield function
        elif not is_pair and any(function is each for each in COPIES) and call.args:
            yield from self.state(call.args[0])
        elif isinstance(function, types.FunctionType):
            yield from self._through(function, call, is_pair)
        else:
            yield UNKNOWN

    def _through(self, function: Any, call: ast.Call, is_pair: bool) -> Iterator[Target]:
        """What another function returns, which may have been given the state."""
        said = _annotated(_hint(function, "return"), is_pair=is_pair)
        if self.depth >= DEPTH:
            yield from said or [UNKNOWN]
            return
        parameters = list(inspect.signature(function).parameters)
        given = {**dict(zip(parameters, call.args, strict=False)), **{k.arg: k.value for k in call.keywords if k.arg}}
        stays = {name for name, value in given.items() if list(self.state(value)) == [SAME]}
        reader = _Reader(inspect.unwrap(function), self.depth + 1, stays)
        read = _once(reader.pairs() if is_pair else reader.values())
        yield from read if read and UNKNOWN not in read else said or [UNKNOWN]

    def _object(self, value: ast.expr) -> Any:
        """What a name, or a name in a module or class, stands for; None where that is not known."""
        if isinstance(value, ast.Name):
            return None if value.id in self.assigned else self.names.get(value.id, getattr(builtins, value.id, None))
        if isinstance(value, ast.Attribute):
            owner = self._object(value.value)
            if isinstance(owner, types.ModuleType | type):
                return getattr(owner, value.attr, None)
        return None


def _names(function: Any) -> dict[str, Any]:
    """What a function's free names stand for."""
    found = dict(getattr(function, "__globals__", {}))
    free = getattr(getattr(function, "__code__", None), "co_freevars", ())
    for name, cell in zip(free, getattr(function, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not given a value yet
            continue
    return found


@functools.lru_cache(1_000)
def _tree(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    """The source of a function; None where it cannot be had, or where several lambdas stand in one line."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if getattr(function, "__name__", "") == "<lambda>":
        lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return lambdas[0] if len(lambdas) == 1 else None
    kinds = ast.FunctionDef, ast.AsyncFunctionDef
    return next((node for node in tree.body if isinstance(node, kinds)), None)
