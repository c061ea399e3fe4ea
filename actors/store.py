"""Store: a named dictionary in the database that all actors of all servers share.

The rule: what comes back is what was put in, so a value is plain JSON or bytes and anything else is refused. Every
operation is one transaction; the forms that end in `_sync` take part in their caller's, if there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
from django.db import IntegrityError, connection, transaction

from realtime_project import database

from .models import StoreEntry

NAME = 100  # characters of a store's name
KEY = 200  # characters
VALUE = 1024 * 1024  # bytes, as stored
DEPTH = 100  # lists and dicts inside one another: a reader's stack must hold them too
MANY = 200  # keys at once, so that they are one query
PAGE = 1_000  # keys listed at once, unless told

SCALARS = (str, int, float, bool, type(None))
LAST = "\U0010ffff"  # no code point comes after it


class Store(msgspec.Struct, frozen=True):
    """A dictionary of str keys and JSON or bytes values, shared by name: `Store("inventory")`.

    It holds its name alone: it is equal to any other of that name, and may stand in a state that is stored.
    Every operation raises TypeError for what is no key or value, and ValueError for what is too large.
    """

    name: str

    def __post_init__(self) -> None:
        _check_text("a store's name", self.name, NAME)

    # one key --------------------------------------------------------------------------------------------------
    async def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return await database.run(self.get_sync, key, default)

    def get_sync(self, key: str, default: Any = None) -> Any:
        return self.get_many_sync([key]).get(key, default)

    async def set(self, key: str, value: Any) -> None:
        """Put `value` in the place of what was there. Returns when it is stored, as every operation does."""
        await database.run(self.set_sync, key, value)

    def set_sync(self, key: str, value: Any) -> None:
        self.set_many_sync({key: value})

    async def add(self, key: str, value: Any) -> bool:
        """Put `value` where there is nothing yet; whether it was. Of several who try, one succeeds."""
        return await database.run(self.add_sync, key, value)

    def add_sync(self, key: str, value: Any) -> bool:
        _check_text("a key", key, KEY)
        content, is_json = _encode(value)
        entry = StoreEntry(store=self.name, key=key, content=content, is_json=is_json)
        try:
            with transaction.atomic():  # a savepoint, so that being late does not spoil the caller's transaction
                entry.save(force_insert=True)
        except IntegrityError:
            return False
        return True

    async def delete(self, key: str) -> bool:
        """Take `key` away; whether it was there."""
        return await database.run(self.delete_sync, key)

    def delete_sync(self, key: str) -> bool:
        _check_text("a key", key, KEY)
        gone, _ = StoreEntry.objects.filter(store=self.name, key=key).delete()
        return gone > 0

    async def incr(self, key: str, delta: float = 1) -> Any:
        """Add `delta` to the number under `key`, or to 0, and return the sum. Nobody's addition is lost.

        Raises TypeError where something else is stored, which stays. True and False are no numbers.
        """
        return await database.run(self.incr_sync, key, delta)

    def incr_sync(self, key: str, delta: float = 1) -> Any:
        _check_text("a key", key, KEY)
        if not _is_number(delta):
            raise TypeError(f"incr adds a number, not {_kind(delta)}")
        with _transaction():
            entry = self._locked(key, b"0")
            number = _decode(entry)
            if not _is_number(number):
                raise TypeError(f"incr needs a number under {key!r} in {self!r}, not {_kind(number)}")
            total = _sum(number, delta)
            entry.content, _ = _encode(total)
            entry.save(update_fields=["content"])
        return total

    async def change(self, key: str, function: Callable[[Any], Any]) -> Any:
        """Put `function(value)` in the place of the value of `key`, or of None, and return it. Changes of one key
        happen one after the other: what the function was given is still there when its result is put.

        It runs on a database's thread. What it raises is raised, and nothing has changed.
        """
        return await database.run(self.change_sync, key, function)

    def change_sync(self, key: str, function: Callable[[Any], Any]) -> Any:
        _check_text("a key", key, KEY)
        with transaction.atomic():  # a savepoint, so that nothing is left where the function raises
            entry = self._locked(key, b"null")
            value = function(_decode(entry))
            content, is_json = _encode(value)
            if (content, is_json) != (bytes(entry.content), entry.is_json):
                entry.content, entry.is_json = content, is_json
                entry.save(update_fields=["content", "is_json"])
        return value

    def _locked(self, key: str, content: bytes) -> StoreEntry:
        """The entry of `key`, with this content where there is none, and nobody else's until the transaction ends."""
        mine = StoreEntry.objects.select_for_update().filter(store=self.name, key=key)
        while (entry := mine.first()) is None:
            first = StoreEntry(store=self.name, key=key, content=content, is_json=True)
            StoreEntry.objects.bulk_create([first], ignore_conflicts=True)  # somebody may be first, or delete it again
        return entry

    # many keys ------------------------------------------------------------------------------------------------
    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those of `keys` that exist: at most 200, in one query."""
        return await database.run(self.get_many_sync, keys)

    def get_many_sync(self, keys: Iterable[str]) -> dict[str, Any]:
        if isinstance(keys, str | bytes):
            raise TypeError(f"get_many takes several keys, not {_kind(keys)}")
        wanted = list(keys)
        _check_many(wanted)
        found = {entry.key: _decode(entry) for entry in StoreEntry.objects.filter(store=self.name, key__in=wanted)}
        return {key: found[key] for key in wanted if key in found}

    async def set_many(self, values: Mapping[str, Any]) -> None:
        """Put all of `values`, at most 200, in one statement; or, where one of them is refused, none."""
        await database.run(self.set_many_sync, values)

    def set_many_sync(self, values: Mapping[str, Any]) -> None:
        if not isinstance(values, Mapping):
            raise TypeError(f"set_many takes a dict, not {_kind(values)}")
        _check_many(list(values))
        entries = []
        for key, value in sorted(values.items()):  # one order for all, or two lists could wait for each other
            content, is_json = _encode(value)
            entries.append(StoreEntry(store=self.name, key=key, content=content, is_json=is_json))
        StoreEntry.objects.bulk_create(
            entries, update_conflicts=True, unique_fields=["store", "key"], update_fields=["content", "is_json"]
        )

    async def keys(self, prefix: str = "", *, after: str = "", limit: int = PAGE) -> list[str]:
        """The keys that begin with `prefix`, in the order of their code points, at most `limit`.

        after: the last key of the page before.
        """
        return await database.run(self.keys_sync, prefix, after=after, limit=limit)

    def keys_sync(self, prefix: str = "", *, after: str = "", limit: int = PAGE) -> list[str]:
        _check_text("a prefix", prefix, KEY, least=0)
        _check_text("a key", after, KEY, least=0)
        if type(limit) is not int or limit < 1:
            raise ValueError(f"a limit is a whole number above zero, not {_kind(limit)}")
        # A range, not LIKE: nothing to escape, no case to lose (SQLite's LIKE knows none), and the index finds it.
        found = StoreEntry.objects.filter(store=self.name, key__gte=prefix, key__lte=prefix + LAST * KEY, key__gt=after)
        return list(found.order_by("key").values_list("key", flat=True)[:limit])


def _transaction() -> AbstractContextManager[Any]:
    """The caller's, without a savepoint in it, or one of our own."""
    return nullcontext() if connection.in_atomic_block else transaction.atomic()


def _check_many(keys: list[str]) -> None:
    if len(keys) > MANY:
        raise ValueError(f"at most {MANY} keys at once, not {len(keys)}")
    for key in keys:
        _check_text("a key", key, KEY)


def _check_text(what: str, text: Any, most: int, least: int = 1) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {_kind(text)}")
    if not least <= len(text) <= most:
        raise ValueError(f"{what} has {least} to {most} characters, not {len(text)}")
    if "\0" in text:
        raise ValueError(f"{what} holds no NUL, unlike {text!r:.80}")
    text.encode()  # a lone surrogate is no text: the error, a ValueError, says so


def _encode(value: Any) -> tuple[bytes, bool]:
    """A value as bytes, and whether they are JSON."""
    is_json = not isinstance(value, bytes)
    if is_json:
        _check_json(value)
    content = msgspec.json.encode(value) if is_json else value
    if len(content) > VALUE:
        raise ValueError(f"a value has at most {VALUE} bytes, not {len(content)}")
    return content, is_json


def _decode(entry: StoreEntry) -> Any:
    content = bytes(entry.content)
    return msgspec.json.decode(content) if entry.is_json else content


def _check_json(value: Any) -> None:
    """Level by level, so that what is nested deeply, or holds itself, ends here and not in the stack."""
    level = [value]
    for _ in range(DEPTH):
        inside: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                if odd := [key for key in item if type(key) is not str]:
                    raise TypeError(f"the keys of a JSON object are str, not {_kind(odd[0])}")
                inside += item.values()
            elif kind is list:
                inside += item
            elif kind not in SCALARS:
                raise TypeError(f"a store keeps bytes or plain JSON, not {_kind(item)}")
            elif kind is float and not math.isfinite(item):
                raise ValueError(f"JSON has no {item}")
        if not inside:
            return
        level = inside
    raise ValueError(f"a value has at most {DEPTH} levels of lists and dicts")


def _sum(number: float, delta: float) -> float:
    try:
        return number + delta
    except OverflowError as error:  # a whole number beyond what a float can be
        raise ValueError(f"{error}: {number!r:.80} + {delta!r:.80}") from None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)  # and so no bool


def _kind(thing: Any) -> str:
    return f"{type(thing).__name__} ({thing!r:.80})"
