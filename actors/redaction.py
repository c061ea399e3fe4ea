"""What a recording does not keep: the values of fields that are declared secret, wherever they turn up later.

The rule: a secret is learned where its name stands, and its value is then nobody's business anywhere: in its field, in
another one, inside a text, in an effect. Each secret has a number, and ‹secret 1› stands in its place, so that a replay
can still tell the same from another. What a handler has made something else of, a hash say, is not recognised: declare
that field too.
"""

from __future__ import annotations

import functools
import html
import json
import re
import typing
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from .messages import SECRET

MOST = 200  # secrets of one actor; beyond, the oldest are forgotten
SHORT = 4  # characters: shorter ones are taken out of texts only where they stand by themselves
STAND_IN = 9_990_000_000  # what a secret number is replaced by, and its number

# Names that are secret without being declared.
USUAL = re.compile(r"pass(?:word|wd|phrase)|secret|token|cookie|authori[sz]ation|api_?key|csrf|credential", re.I)


class Secrets:
    """The secrets of one actor. names: fields that are secret, beside those that are marked so, or usually are."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(name.casefold() for name in names)
        self.count = 0  # how many there have been
        self.met = False  # something was taken out since this was last set to False
        self._numbers: dict[Any, int] = {}  # value → its number
        self._patterns: list[tuple[re.Pattern[str], str]] | None = []  # None: to be made, once for all that was learned

    def is_name(self, name: object) -> bool:
        return isinstance(name, str) and (name.casefold() in self.names or bool(USUAL.search(name)))

    def is_field(self, kind: type, name: str) -> bool:
        return name in marked(kind) or self.is_name(name)

    def learn(self, value: Any) -> None:
        """From now on this value is nobody's business."""
        if isinstance(value, bytes):
            self._add(value)
            value = value.decode(errors="ignore")
        if isinstance(value, str) and value:
            if known := STANDS.fullmatch(value):  # of a recording that is played again
                number = int(known[1])
                self.count = max(self.count, number)
                self._numbers.setdefault(value, number)
                return
            self._add(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, int) and STAND_IN < value < STAND_IN + 1_000_000:
                self.count = max(self.count, value - STAND_IN)
                self._numbers.setdefault(value, value - STAND_IN)
            elif len(str(value)) >= SHORT:
                self._add(value)

    def _add(self, value: Any) -> None:
        if value in self._numbers:
            return
        self.count += 1
        self._numbers[value] = self.count
        if len(self._numbers) > MOST:
            del self._numbers[next(iter(self._numbers))]
        self._patterns = None

    def _made_of_all(self) -> list[tuple[re.Pattern[str], str]]:
        forms = {number: _forms(each) for each, number in self._numbers.items() if not isinstance(each, bytes)}
        shown = ((form, number) for number, each in forms.items() for form in each)
        longest_first = sorted(shown, key=lambda pair: -len(pair[0]))
        return [(_pattern(form), stand_in(number)) for form, number in longest_first]

    # taking out -----------------------------------------------------------------------------------------------
    def text(self, text: str) -> str:
        """The text without any secret. JSON is looked into for names first."""
        if text[:1] in "{[" and text and (self.names or USUAL.search(text)):
            self._read(text)
        if self._numbers:
            if self._patterns is None:
                self._patterns = self._made_of_all()
            for pattern, instead in self._patterns:
                text = pattern.sub(instead, text)
            if STANDS.search(text):
                self.met = True
        return text

    def bytes(self, content: bytes) -> bytes:
        """The bytes without any secret."""
        if not self._numbers and content[:1] not in (b"{", b"["):
            return content
        try:
            return self.text(content.decode()).encode()
        except UnicodeDecodeError:
            for value, number in self._numbers.items():
                raw = value if isinstance(value, bytes) else str(value).encode(errors="replace")
                if len(raw) >= SHORT and raw in content:
                    self.met = True
                    content = content.replace(raw, stand_in(number).encode())
            return content

    def number(self, value: float) -> int | None:
        """Which secret a number is."""
        found = self._numbers.get(value) if self._numbers else None
        if found:
            self.met = True
        return found

    def _read(self, text: str) -> None:
        try:
            self._walk(msgspec.json.decode(text), False)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            for found in LOOSE.finditer(text):  # no JSON after all, or cut
                if self.is_name(found[1]):
                    self.learn(found[2])

    def _walk(self, value: Any, is_secret: bool) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                self._walk(each, is_secret or self.is_name(name))
        elif isinstance(value, list):
            for each in value:
                self._walk(each, is_secret)
        elif is_secret:
            self.learn(value)


STANDS = re.compile(r"‹secret (\d{1,6})›")
LOOSE = re.compile(r'"([^"\\]{1,60})"\s*:\s*"((?:[^"\\]|\\.)+)')


def stand_in(number: int) -> str:
    return f"‹secret {number}›"


def _forms(value: Any) -> set[str]:
    """A value as it may stand in a text: as it is, and as JSON, HTML and addresses write it."""
    text = str(value)
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], html.escape(text), quote(text)}


def _pattern(form: str) -> re.Pattern[str]:
    plain = re.escape(form)
    if len(form) < SHORT or form.isdigit():
        plain = rf"(?<![\w]){plain}(?![\w])"
    return re.compile(plain)


@functools.lru_cache(1_000)
def marked(kind: type) -> frozenset[str]:
    """The fields of a class that are marked: `password: Annotated[str, Secret]`."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # a name that is imported for the checker alone
        hints = getattr(kind, "__annotations__", {})
    return frozenset(
        name
        for name, hint in hints.items()
        if any(isinstance(each, msgspec.Meta) and (each.extra or {}).get(SECRET) for each in typing.get_args(hint))
    )
