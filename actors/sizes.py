"""How much a value holds in memory, about: for what waits where bytes are bounded.

The rule: it costs next to nothing. A text is as large as it is; anything else as its JSON, which is written faster than
Python walks through it, and as the objects that this stands for. What is no JSON, a function say, weighs nothing.
"""

from __future__ import annotations

from sys import getsizeof
from typing import Any

import msgspec

OBJECT = 64  # bytes of an object beside what it holds

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
