"""The log of durable topics. The database is the truth: what is appended here and committed is never lost.

In one transaction: `numbers = take(names)` locks the heads, in name order so that no two lists deadlock; the caller
inserts its rows with those numbers; `append(entries)` writes the events and moves the heads, and may put something else
in the place of earlier events. The doorbells ring after the commit. Nothing else writes TopicHead, TopicEvent or Epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models.functions import Now

from . import database
from .feeds import Bell, Content, Event
from .hub import Hub
from .models import Epoch, TopicEvent, TopicHead, new_epoch

MAX_EVENT = 1024 * 1024  # bytes of one durable event: pages of them are held in memory


class Entry(NamedTuple):
    topic: str
    offset: int
    content: Content


def take(names: Sequence[str]) -> list[int]:
    """The next offset for each of `names`, which may repeat. Locks their heads until the transaction ends."""
    assert connection.in_atomic_block, "history.take needs a transaction"
    wanted = sorted(set(names))
    heads = _locked(wanted)
    if len(heads) < len(wanted):
        TopicHead.objects.bulk_create(
            [TopicHead(name=name) for name in wanted if name not in heads], ignore_conflicts=True
        )
        heads = _locked(wanted)
    numbers = []
    for name in names:
        heads[name].offset += 1
        numbers.append(heads[name].offset)
    return numbers


def append(entries: Iterable[Entry], rewritten: Iterable[Entry] = ()) -> None:
    """Write events under the numbers that take() gave, all of them. Raises RuntimeError where a number is missing.

    rewritten: earlier events of the same topics, with what stands in their place from now on. The doorbells say so, and
    every feed forgets what it held of them; a reader who has them already learns of it by the new events alone.
    """
    assert connection.in_atomic_block, "history.append needs a transaction"
    topics: dict[str, list[Entry]] = {}
    for entry in entries:
        topics.setdefault(entry.topic, []).append(entry)
    heads = {head.name: head for head in TopicHead.objects.filter(name__in=topics)}
    for name, added in sorted(topics.items()):
        first = heads[name].offset + 1
        if [entry.offset for entry in added] != list(range(first, first + len(added))):
            raise RuntimeError(f"topic {name!r}: expected offsets from {first} on, without holes")
    TopicEvent.objects.bulk_create(_row(heads[entry.topic], entry) for added in topics.values() for entry in added)
    for name, added in sorted(topics.items()):
        TopicHead.objects.filter(pk=heads[name].pk).update(offset=added[-1].offset)
    last = _rewrite(heads, rewritten)
    life = epoch()
    bells: dict[tuple[str, str], list[Bell]] = {
        (name, life): [(entry.offset, entry.content) for entry in added] for name, added in topics.items()
    }
    for name, offset in last.items():
        bells[name, life][0] = (*bells[name, life][0][:2], offset)
    transaction.on_commit(lambda: _ring(bells))


def publish(items: Sequence[tuple[str, Content]]) -> list[int]:
    """Append contents to durable topics, set-wise: [(topic name, content)] → offsets."""
    numbers = take([name for name, _ in items])
    append(Entry(name, offset, content) for (name, content), offset in zip(items, numbers, strict=True))
    return numbers


def heads(names: Sequence[str]) -> tuple[str, dict[str, int]]:
    """The epoch, and the last offset of each topic that has one.

    The epoch is asked first: a head from before a restore must not pass for one of the new epoch, which is behind it.
    """
    return epoch(), dict(TopicHead.objects.filter(name__in=names).values_list("name", "offset"))


def page(name: str, after: int, upto: int | None, limit: int) -> tuple[str, list[Event]]:
    """The epoch, and at most `limit` events with after < offset ≤ upto, in order.

    The epoch is asked last: events of a restored backup must not pass for those of the epoch before.
    """
    rows = TopicEvent.objects.filter(topic__name=name, offset__gt=after)
    if upto is not None:
        rows = rows.filter(offset__lte=upto)
    found = rows.order_by("offset").values_list("offset", "content", "is_text")[:limit]
    events = [
        Event(bytes(content).decode() if is_text else bytes(content), offset) for offset, content, is_text in found
    ]
    return epoch(), events


def epoch() -> str:
    """The life of this database's logs; the first caller of an empty database begins it."""
    value = Epoch.objects.order_by("pk").values_list("value", flat=True).first()
    return value or Epoch.objects.get_or_create(pk=1)[0].value


def begin_epoch() -> str:
    """Another life of the logs, after a backup was restored: every client that was ahead of it reloads."""
    value = new_epoch()
    row = Epoch.objects.order_by("pk").first() or Epoch(pk=1)
    row.value = value
    row.save()
    return value


def trim(age: timedelta, most: int = 5_000) -> int:
    """Delete events older than `age`, at most so many in one transaction: the number deleted.

    Heads stay, so numbers are never given again. A client whose offset lies below what is left is told to reload.
    """
    old = TopicEvent.objects.filter(created_at__lt=Now() - age).order_by("pk").values_list("pk", flat=True)[:most]
    return TopicEvent.objects.filter(pk__in=list(old)).delete()[0]


def forget(prefix: str, age: timedelta, kept: Iterable[str]) -> None:
    """Of the topics below a prefix, delete the events older than `age`, and the topics that have none but for `kept`.

    For topics whose names are never used again: one that began anew would give its numbers again.
    """
    TopicEvent.objects.filter(topic__name__startswith=prefix, created_at__lt=Now() - age).delete()
    names = TopicHead.objects.filter(name__startswith=prefix, events=None).exclude(name__in=list(kept))
    TopicHead.objects.filter(pk__in=list(names.values_list("pk", flat=True)), events=None).delete()


class Log:
    """The log as the hub sees it: from the event loop, on the database's threads."""

    async def heads(self, names: Sequence[str]) -> tuple[str, dict[str, int]]:
        return await database.run(heads, names)

    async def page(self, name: str, after: int, upto: int | None, limit: int) -> tuple[str, list[Event]]:
        return await database.run(page, name, after, upto, limit)


def _locked(names: Sequence[str]) -> dict[str, TopicHead]:
    return {head.name: head for head in TopicHead.objects.select_for_update().filter(name__in=names).order_by("name")}


def _row(head: TopicHead, entry: Entry) -> TopicEvent:
    is_text = isinstance(entry.content, str)
    content = entry.content.encode() if isinstance(entry.content, str) else entry.content
    if len(content) > MAX_EVENT:
        raise ValueError(f"an event of a durable topic has at most {MAX_EVENT} bytes, not {len(content)}")
    return TopicEvent(topic=head, offset=entry.offset, content=content, is_text=is_text)


def _rewrite(heads: Mapping[str, TopicHead], rewritten: Iterable[Entry]) -> dict[str, int]:
    """Put other contents into events that are there: topic → the highest offset that was rewritten."""
    wanted = {(heads[entry.topic].pk, entry.offset): entry for entry in rewritten}
    if not wanted:
        return {}
    topics, offsets = (set(part) for part in zip(*wanted, strict=True))
    found = TopicEvent.objects.filter(topic__in=topics, offset__in=offsets).values_list("pk", "topic_id", "offset")
    rows = []
    for pk, topic, offset in found:
        if entry := wanted.get((topic, offset)):
            row = _row(heads[entry.topic], entry)
            row.pk = pk
            rows.append(row)
    TopicEvent.objects.bulk_update(rows, ["content", "is_text"])
    last: dict[str, int] = {}
    for entry in wanted.values():
        last[entry.topic] = max(entry.offset, last.get(entry.topic, 0))
    return last


def _ring(bells: dict[tuple[str, str], list[Bell]]) -> None:
    if Hub.here:
        Hub.here.ring(bells)
