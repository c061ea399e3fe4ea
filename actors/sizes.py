"""How much a value holds in memory, about: for what waits where bytes are bounded.

The rule: it costs next to nothing. A text is as large as it is; anything else as its JSON, which is written faster than
Python walks through it, and as the objects that this stands for. What is no JSON, a function say, weighs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any

import msgspec

from realtime_project.publishing import Publish

OBJECT = 64  # bytes of an object beside what it holds
LARGE = frozenset({str, bytes, bytearray, tuple, list, dict, set, frozenset})  # what may be larger

_json = msgspec.json.Encoder(enc_hook=lambda value: None).encode


def size_of(value: Any) -> int:
    """Bytes."""
    kind = type(value)
    if kind is str or kind is bytes:
        return getsizeof(value)
    try:
        written = _json(value)
    except Exception:  # somebody else's class
        return OBJECT
    return len(written) + OBJECT * (1 + written.count(b","))


def size_of_step(message: Any, before: Any, after: Any, effects: Iterable[Any]) -> int:
    """Bytes that a step holds: its message, its effects, and what is new in the state itself, not deep inside."""
    size = size_of(message)
    for effect in effects:
        size += size_of(effect.content if type(effect) is Publish else effect)
    if after is not before:
        for name in getattr(after, "__struct_fields__", ()):
            each = getattr(after, name, None)
            if type(each) in LARGE and each is not getattr(before, name, None):
                size += getsizeof(each)
    return size
