"""The types that an endpoint takes → forms in which a message of each is written.

The rule: every type that can be declared can be written. What no plain field holds is written as JSON, and the server
judges what comes, as it does with any client's.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

KINDS: dict[type[inspect.Type], tuple[str, str]] = {  # kind, and what it is in words; anything else is JSON
    inspect.StrType: ("text", "text"),
    inspect.IntType: ("integer", "a whole number"),
    inspect.FloatType: ("number", "a number"),
    inspect.DateTimeType: ("text", "2026-11-20T10:00:00Z"),
    inspect.DateType: ("text", "2026-11-20"),
    inspect.TimeType: ("text", "10:00:00"),
    inspect.UUIDType: ("text", "a UUID"),
    inspect.DecimalType: ("text", "a number"),
    inspect.BytesType: ("text", "base64"),
}
JSON = ("json", "JSON")


class Field(NamedTuple):
    """One member of a message."""

    name: str
    kind: str  # "text", "integer", "number", "json", or "choice"
    words: str  # what may stand there
    required: bool  # others may be left out
    choices: Sequence[str] = ()  # of "choice": JSON texts


class Form(NamedTuple):
    """One type of message."""

    name: str
    head: str  # the member that says which type it is, as JSON without braces: "type":"post"
    fields: Sequence[Field]


def forms(types: Sequence[type]) -> list[Form]:
    """A form for each of these structs. One that is written as an array has no names to fill in, and no form."""
    found = []
    for info in inspect.multi_type_info(types):
        assert isinstance(info, inspect.StructType)
        if not info.array_like:
            head = _json({info.tag_field: info.tag})[1:-1] if info.tag_field else ""
            name = info.tag if isinstance(info.tag, str) else info.cls.__name__
            fields = sorted(map(_field, info.fields), key=lambda field: not field.required)
            found.append(Form(name, head, fields))
    return found


def _field(field: inspect.Field) -> Field:
    kinds, is_optional = _kinds(field.type)
    choices = [choice for kind in kinds for choice in _choices(kind)]
    if choices and all(_choices(kind) for kind in kinds):
        said, words = "choice", ""
        choices += ["null"] * is_optional
    else:
        said, words = KINDS.get(type(kinds[0]), JSON) if len(kinds) == 1 else JSON
    return Field(field.encode_name, said, words, field.required, choices if said == "choice" else ())


def _kinds(kind: inspect.Type) -> tuple[list[inspect.Type], bool]:
    """Those of which a value is one, and whether it may be null."""
    if isinstance(kind, inspect.Metadata):
        return _kinds(kind.type)
    if isinstance(kind, inspect.UnionType):
        inner = [_kinds(each) for each in kind.types]
        return [each for some, _ in inner for each in some], any(null for _, null in inner)
    return ([], True) if isinstance(kind, inspect.NoneType) else ([kind], False)


def _choices(kind: inspect.Type) -> list[str]:
    """The values of a type that has few, as JSON."""
    if isinstance(kind, inspect.BoolType):
        return ["true", "false"]
    if isinstance(kind, inspect.LiteralType):
        return [_json(value) for value in kind.values]
    if isinstance(kind, inspect.EnumType) and issubclass(kind.cls, Enum):
        return [_json(member) for member in kind.cls]
    return []


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
