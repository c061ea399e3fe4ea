"""What a rule's message and state are compared with: a type, Any, a literal value or a predicate."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

logger = logging.getLogger(__name__)

Check = Callable[[Any], bool]


class Pattern:
    """One pattern. `fits(type)` is True for all values of a type, False for none, or a check of the value."""

    __slots__ = ("fits", "is_literal", "source")

    fits: Callable[[type], bool | Check]

    def __init__(self, source: Any) -> None:
        self.source = source
        self.is_literal = False
        if source is Any:
            self.fits = lambda _: True
        elif types := _types(source):
            self.fits = lambda kind: issubclass(kind, types)
        elif get_origin(source) is not None:
            raise TypeError(f"a pattern is a type, Any, a value or a predicate; {source!r} is a type with parameters")
        elif inspect.iscoroutinefunction(source):
            raise TypeError(f"a predicate answers at once; {source!r} is async")
        elif inspect.isroutine(source) or (callable(source) and not hasattr(source, "__struct_fields__")):
            self.fits = lambda _: self._holds
        else:
            self.is_literal = True
            self.fits = lambda kind: self._equals if kind is type(source) else False

    def _holds(self, value: Any) -> bool:
        try:
            return bool(self.source(value))
        except Exception as error:  # a question that cannot be asked of this value
            logger.debug("predicate %r raised %r: no match", self.source, error)
            return False

    def _equals(self, value: Any) -> bool:
        return bool(value == self.source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and type(other.source) is type(self.source) and other.source == self.source

    def __hash__(self) -> int:
        try:
            return hash(self.source)
        except TypeError:  # a literal that is no key
            return hash(type(self.source))

    def __repr__(self) -> str:
        name = getattr(self.source, "__name__", None)
        return "Any" if self.source is Any else name if isinstance(name, str) else repr(self.source)

    @property
    def types(self) -> tuple[type, ...]:
        """The classes it names."""
        return _types(self.source)


def _types(source: Any) -> tuple[type, ...]:
    """The classes that a type, or a union of types, stands for; () for anything else."""
    if get_origin(source) in (Union, UnionType):
        parts = get_args(source)
        return parts if all(_types(part) for part in parts) else ()
    return (source,) if isinstance(source, type) and get_origin(source) is None else ()
