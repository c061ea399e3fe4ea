"""Values as JSON, for recordings: what can be shown to staff, compared, built again, and written as Python.

The rule: a value is written as what it is or not at all. What is secret (redaction.py) has a stand-in; what is too
large is cut, with a digest, so that it can still be compared; an object of an unknown kind is its class's name, never
its repr, which might say anything. An actor's own topics are written as what they are, so that a replay's are the same.

Plain JSON stands for itself; everything else is an object with "$", its kind.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import functools
import hashlib
import math
import sys
import types
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from realtime_project.publishing import Named

from .redaction import STAND_IN, Secrets
from .stored import Own
from .testing import Someone

TEXT = 2_000  # characters or bytes of one text
BEGINNING = 200  # ... of which so many are kept of a longer one
ITEMS = 200  # of one list, dict, or class
DEPTH = 12
WHOLE = 16 * 1024  # characters of one value as JSON

Plain = Any
Shape = tuple[str, str, list[tuple[str, bool]]]  # its kind, the class's name, its fields and whether each is secret

MADE = (datetime, date, time, timedelta, UUID, Decimal)


class NotReplayable(Exception):
    """A recorded value that cannot be built again, and why."""


class Writer:
    """Writes one actor's values."""

    def __init__(self, own: Own, secrets: Secrets) -> None:
        self.own_out, self.own_in = own.topic_out.name, own.topic_in.name
        self.secrets = secrets
        self._shapes: dict[type, Shape | None] = {}

    def text(self, value: Any) -> str:
        """A value as JSON text."""
        written = msgspec.json.encode(self.plain(value)).decode()
        return written if len(written) <= WHOLE else msgspec.json.encode(_cut(written)).decode()

    def plain(self, value: Any, is_secret: bool = False, depth: int = 0) -> Plain:
        """is_secret: it stands in a field whose values are secret."""
        kind = type(value)
        if value is None:
            return None
        if kind in SIMPLE:
            return SIMPLE[kind](self, value, is_secret)
        if depth >= DEPTH:
            return {"$": "deep"}
        if kind not in self._shapes:
            self._shapes[kind] = self._shape(kind)
        if shape := self._shapes[kind]:
            what, name, names = shape
            fields = {
                each: self.plain(getattr(value, each, None), is_secret or hides, depth + 1) for each, hides in names
            }
            return {"$": what, "c": name, "v": fields}
        plain = functools.partial(self.plain, is_secret=is_secret, depth=depth + 1)
        if kind in (list, tuple, set, frozenset):
            items = sorted(value, key=repr) if kind in (set, frozenset) else value
            written = [plain(each) for each, _ in zip(items, range(ITEMS), strict=False)]
            if len(value) > ITEMS:
                written.append({"$": "more", "n": len(value) - ITEMS})
            return written if kind is list else {"$": kind.__name__, "v": written}
        if kind is dict:
            return self._dict(value, is_secret, depth)
        if isinstance(value, enum.Enum):
            return {"$": "enum", "c": name_of(kind), "v": value.name}
        if isinstance(value, Named):
            return self._topic(value)
        if isinstance(value, MADE):
            return {"$": "made", "c": name_of(kind), "v": list(map(plain, _arguments(value)))}
        if isinstance(value, functools.partial):
            keywords = {name: plain(each) for name, each in value.keywords.items()}
            return {"$": "partial", "f": plain(value.func), "v": [plain(each) for each in value.args], "k": keywords}
        if isinstance(value, types.MethodType):
            return {"$": "method", "o": plain(value.__self__), "v": value.__func__.__name__}
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType) and named(name_of(value)) is value:
            return {"$": "name", "v": name_of(value)}
        if hasattr(value, "get_username") and hasattr(value, "is_authenticated"):
            if is_secret:
                return {"$": "user", "pk": None, "name": ""}
            return {"$": "user", "pk": value.pk, "name": self.secrets.text(str(value.get_username()))}
        if hasattr(value, "lists") and hasattr(value, "urlencode"):  # a QueryDict
            pairs = [(name, each) for name, values in value.lists() for each in values]
            hidden = [(name, self._secret_pair(name, each, is_secret)) for name, each in pairs[:ITEMS]]
            return {"$": "query", "v": self._text(urlencode(hidden))}
        return {"$": "opaque", "c": name_of(kind)}

    def _secret_pair(self, name: str, value: str, is_secret: bool) -> str:
        if is_secret or self.secrets.is_name(name):
            self.secrets.learn(value)
        return self.secrets.text(value)

    def _dict(self, value: Mapping[Any, Any], is_secret: bool, depth: int) -> Plain:
        pairs = [
            (
                self.plain(name, False, depth + 1),
                self.plain(each, is_secret or self.secrets.is_name(name), depth + 1),
            )
            for (name, each), _ in zip(value.items(), range(ITEMS), strict=False)
        ]
        if all(isinstance(name, str) and not name.startswith("$") for name, _ in pairs) and len(value) <= ITEMS:
            return dict(pairs)
        return {"$": "dict", "v": list(map(list, pairs)), **({"n": len(value) - ITEMS} if len(value) > ITEMS else {})}

    def _topic(self, topic: Named) -> Plain:
        if topic.name == self.own_out:
            return {"$": "out"}
        if topic.name == self.own_in:
            return {"$": "in"}
        return {"$": "topic", "v": self.secrets.text(topic.name), "h": topic.history}

    def _shape(self, kind: type) -> Shape | None:
        """The fields of a class that has some."""
        if issubclass(kind, enum.Enum | Named):
            return None
        if issubclass(kind, msgspec.Struct):
            what, names = "struct", list(kind.__struct_fields__)
        elif dataclasses.is_dataclass(kind):
            what, names = "data", [each.name for each in dataclasses.fields(kind)]
        elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
            what, names = "data", list(kind._fields)
        else:
            return None
        return what, name_of(kind), [(name, self.secrets.is_field(kind, name)) for name in names[:ITEMS]]

    # plain kinds ----------------------------------------------------------------------------------------------
    def _text(self, value: str, is_secret: bool = False) -> Plain:
        if is_secret:
            self.secrets.learn(value)
        text = self.secrets.text(value)
        try:
            text.encode()
        except UnicodeEncodeError:  # half a character
            text = text.encode(errors="replace").decode()
        return _cut(text) if len(text) > TEXT else text

    def _bytes(self, value: bytes, is_secret: bool) -> Plain:
        if is_secret:
            self.secrets.learn(value)
        content = self.secrets.bytes(bytes(value))
        if len(content) > TEXT:
            digest = hashlib.sha256(content).hexdigest()[:16]
            beginning = base64.b64encode(content[:BEGINNING]).decode()
            return {"$": "cut", "k": "bytes", "v": beginning, "n": len(content), "h": digest}
        return {"$": "bytes", "v": base64.b64encode(content).decode()}

    def _number(self, value: float, is_secret: bool) -> Plain:
        if is_secret:
            self.secrets.learn(value)
        if number := self.secrets.number(value):
            return {"$": "secret", "k": type(value).__name__, "v": number}
        if is_secret:  # a small one: not recognised elsewhere, but not told here
            self.secrets.met = True
            return {"$": "secret", "k": type(value).__name__, "v": 0}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        return value if abs(value) < 2**53 else {"$": "int", "v": str(value)}

    def _flag(self, value: bool, is_secret: bool) -> Plain:
        if is_secret:
            self.secrets.met = True
            return {"$": "secret", "k": "bool", "v": 0}
        return value


SIMPLE: dict[type, Any] = {
    str: Writer._text,
    bytes: Writer._bytes,
    bytearray: Writer._bytes,
    int: Writer._number,
    float: Writer._number,
    bool: Writer._flag,
}


def _cut(text: str) -> Plain:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"$": "cut", "k": "str", "v": text[:BEGINNING], "n": len(text), "h": digest}


def _arguments(value: Any) -> tuple[Any, ...]:
    """What a value of MADE is made again from: text, or for times and dates their ISO form."""
    if isinstance(value, timedelta):
        return value.days, value.seconds, value.microseconds
    return (value.isoformat() if isinstance(value, date | time) else str(value),)


# building again -------------------------------------------------------------------------------------------------
def build(plain: Plain, own: Own) -> Any:
    """The value that was written. Raises NotReplayable."""
    if isinstance(plain, list):
        return [build(each, own) for each in plain]
    if not isinstance(plain, dict):
        return plain
    kind = plain.get("$")
    if kind is None:
        return {name: build(each, own) for name, each in plain.items()}
    if kind not in BUILDERS:
        raise NotReplayable(_why(plain))
    return BUILDERS[kind](plain, own)


def _why(plain: Plain) -> str:
    match plain["$"]:
        case "cut":
            return f"{plain['n']:,} characters or bytes were too many to keep"
        case "opaque":
            return f"a {plain['c'].rpartition(':')[2]} cannot be kept"
        case "partial" | "method":
            return "a function made on the way cannot be kept"
        case _:
            return "it was too large or too deep to keep"


def _build_fields(plain: Plain, own: Own) -> Any:
    cls = _class(plain["c"])
    values = {name: build(each, own) for name, each in plain["v"].items()}
    try:
        if hasattr(cls, "function") and "arguments" in values:  # effects.Call and Write
            return cls(values["function"], *values["arguments"])
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise NotReplayable(f"today's {cls.__name__} is another: {error}") from None


def _build_number(plain: Plain, own: Own) -> Any:
    kind = plain["k"]
    return False if kind == "bool" else {"int": int, "float": float}[kind](STAND_IN + plain["v"] if plain["v"] else 0)


def _build_made(plain: Plain, own: Own) -> Any:
    cls, arguments = _class(plain["c"]), [build(each, own) for each in plain["v"]]
    return cls.fromisoformat(*arguments) if issubclass(cls, date | time) else cls(*arguments)


def _build_topic(plain: Plain, own: Own) -> Any:
    from realtime_project.topics import Topic

    try:
        return Topic(plain["v"], history=plain["h"])
    except ValueError as error:
        raise NotReplayable(str(error)) from None


def _build_query(plain: Plain, own: Own) -> Any:
    from django.http import QueryDict

    return QueryDict(plain["v"])


def _build_enum(plain: Plain, own: Own) -> Any:
    try:
        return _class(plain["c"])[plain["v"]]
    except KeyError:
        raise NotReplayable(f"today's {plain['c']} has no {plain['v']}") from None


def _build_name(plain: Plain, own: Own) -> Any:
    found = named(plain["v"])
    if found is None:
        raise NotReplayable(f"{plain['v']} is no more")
    return found


def _class(name: str) -> Any:
    found = named(name)
    if not isinstance(found, type):
        raise NotReplayable(f"the class {name} is no more")
    return found


BUILDERS: dict[str, Any] = {
    "tuple": lambda plain, own: tuple(build(each, own) for each in plain["v"]),
    "set": lambda plain, own: {build(each, own) for each in plain["v"]},
    "frozenset": lambda plain, own: frozenset(build(each, own) for each in plain["v"]),
    "dict": lambda plain, own: {build(name, own): build(each, own) for name, each in plain["v"]},
    "bytes": lambda plain, own: base64.b64decode(plain["v"]),
    "int": lambda plain, own: int(plain["v"]),
    "float": lambda plain, own: float(plain["v"]),
    "secret": _build_number,
    "enum": _build_enum,
    "struct": _build_fields,
    "data": _build_fields,
    "made": _build_made,
    "method": lambda plain, own: getattr(build(plain["o"], own), plain["v"]),
    "partial": lambda plain, own: functools.partial(
        build(plain["f"], own),
        *(build(each, own) for each in plain["v"]),
        **{name: build(each, own) for name, each in plain["k"].items()},
    ),
    "name": _build_name,
    "out": lambda plain, own: own.topic_out,
    "in": lambda plain, own: own.topic_in,
    "topic": _build_topic,
    "user": lambda plain, own: Someone(plain["pk"], plain["name"]),
    "query": _build_query,
}


# names ----------------------------------------------------------------------------------------------------------
def name_of(thing: Any) -> str:
    """module:name, where it is declared."""
    return f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', '')}"


def named(name: str) -> Any:
    """What has this name, in a module that is there already; None for nothing."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


# showing --------------------------------------------------------------------------------------------------------
EMPTY = ({"$": "query", "v": ""}, {"$": "tuple", "v": []})


def shown(plain: Plain) -> str:
    """A value as staff read it: near to Python, without the modules of its classes."""
    if isinstance(plain, list):
        return f"[{', '.join(map(shown, plain))}]"
    if not isinstance(plain, dict):
        return repr(plain)
    match plain.get("$"):
        case None:
            return "{" + ", ".join(f"{name!r}: {shown(each)}" for name, each in plain.items()) + "}"
        case "struct" | "data":
            module, _, name = plain["c"].partition(":")
            name, fields = name.rpartition(".")[2], plain["v"]
            if set(fields) == {"function", "arguments"}:
                rest = fields["arguments"].get("v", []) if isinstance(fields["arguments"], dict) else []
                return f"{name}({', '.join(map(shown, [fields['function'], *rest]))})"
            told = [(key, shown(each)) for key, each in fields.items() if each is not None and each not in EMPTY]
            bare = 2 if name == "Publish" else 1 if module == "actors.effects" else 0
            parts = (each if place < bare else f"{key}={each}" for place, (key, each) in enumerate(told))
            return f"{name}({', '.join(parts)})"
        case "tuple" | "set" | "frozenset":
            return f"({', '.join(map(shown, plain['v']))})"
        case "dict":
            return "{" + ", ".join(f"{shown(name)}: {shown(each)}" for name, each in plain["v"]) + "}"
        case "bytes":
            return repr(base64.b64decode(plain["v"]))
        case "cut":
            beginning = plain["v"] if plain["k"] == "str" else base64.b64decode(plain["v"])
            return f"{beginning!r}… ({plain['n']:,} in all)"
        case "enum":
            return f"{plain['c'].rpartition(':')[2]}.{plain['v']}"
        case "name":
            return str(plain["v"].rpartition(":")[2])
        case "method":
            return f"{shown(plain['o'])}.{plain['v']}"
        case "partial":
            return f"partial({', '.join(map(shown, [plain['f'], *plain['v']]))})"
        case "made":
            return f"{plain['c'].rpartition(':')[2]}({', '.join(map(shown, plain['v']))})"
        case "out":
            return "topic_out"
        case "in":
            return "topic_in"
        case "topic":
            return f"Topic({plain['v']!r})"
        case "user":
            return plain["name"] or "nobody"
        case "query":
            return repr(plain["v"])
        case "secret":
            return f"‹secret {plain['v']}›" if plain["v"] else "‹secret›"
        case "opaque":
            return f"<{plain['c'].rpartition(':')[2]}>"
        case "int" | "float":
            return str(plain["v"])
        case _:
            return "…"
