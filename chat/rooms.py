"""The writes of chat: post, join, leave, create, mark read.

The rule: nothing else writes rooms and memberships or adds messages (edits.py changes these), and whatever the members
should see is appended to the room's log in the same transaction. `post` and `mark_read` take lists and are set-wise:
they run in group commits.
"""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from realtime_project import history
from realtime_project.history import Entry

from . import protocol, text, timeline
from .models import Membership, Message, Room, User, room_topic
from .protocol import MAX_ID, MAX_TEXT, Code


class Post(NamedTuple):
    author: int
    room: str  # slug
    client_id: str  # the same again is the same message
    text: str


class Ack(NamedTuple):
    room: str  # slug
    offset: int
    message: int


class Refusal(NamedTuple):
    code: Code
    detail: str


class Mark(NamedTuple):
    user: int
    room: str  # slug
    offset: int


NO_ROOM = Refusal("not_found", "There is no such room.")
LEFT = Refusal("unauthenticated", "Your account can no longer post.")
UNSTORABLE = Refusal("invalid_message", "The message holds characters that cannot be stored.")


def post(posts: list[Post]) -> list[Ack | Refusal]:
    """Store messages and announce them: an Ack or a Refusal for each post. Needs a transaction.

    Who posts to a public room joins it. A post whose client_id its author has used in the room is not stored again.
    """
    rooms = Room.objects.in_bulk({each.room for each in posts}, field_name="slug")
    authors = User.objects.filter(is_active=True).in_bulk({each.author for each in posts})
    refusals = {each: refusal for each in posts if (refusal := _refuse(each, rooms, authors))}
    wanted: dict[Key, Post] = {}
    for each in posts:
        if each not in refusals:
            wanted.setdefault(_key(each, rooms), each)  # the first of equals
    stored = _stored(wanted, {room.pk: room.slug for room in rooms.values()})
    fresh = {key: each for key, each in wanted.items() if key not in stored}
    if fresh:
        stored |= _store(fresh, {room.pk: room for room in rooms.values()}, authors)
    return [refusals[each] if each in refusals else stored[_key(each, rooms)] for each in posts]


def mark_read(marks: list[Mark]) -> list[int | Refusal]:
    """Move members' read marks forward: the mark that now holds, for each. Needs a transaction."""
    rooms = Room.objects.in_bulk({mark.room for mark in marks}, field_name="slug")
    _, heads = history.heads([room.topic_name for room in rooms.values()])
    members = _memberships((mark.user, rooms[mark.room].pk) for mark in marks if mark.room in rooms)
    moved: dict[int, Membership] = {}
    results: list[int | Refusal] = []
    for mark in marks:
        room = rooms.get(mark.room)
        member = room and members.get((mark.user, room.pk))
        if not room or not member:
            results.append(NO_ROOM)
            continue
        offset = min(mark.offset, heads.get(room.topic_name, 0))
        if offset > member.read_offset:
            member.read_offset = offset
            moved[member.pk] = member
        results.append(member.read_offset)
    Membership.objects.bulk_update(moved.values(), ["read_offset"])
    return results


@transaction.atomic
def create(user_id: int, name: str, description: str, slug: str) -> Room:
    """A new public room, with its creator as a member. The slug must be free."""
    room = Room.objects.create(slug=slug, name=name, description=description, created_by_id=user_id)
    join(user_id, slug)
    return room


@transaction.atomic
def join(user_id: int, slug: str) -> bool:
    """True if the user was no member before. Raises Room.DoesNotExist."""
    room = Room.objects.get(slug=slug)
    [offset] = history.take([room.topic_name])  # locks the room: whoever else adds the same member waits
    if Membership.objects.filter(room=room, user_id=user_id).exists():
        return False
    Membership.objects.create(room=room, user_id=user_id, read_offset=offset)  # what was said before is not unread
    history.append([_member_entry("added", room, User.objects.get(pk=user_id), offset)])
    return True


@transaction.atomic
def leave(user_id: int, slug: str) -> bool:
    """True if the user was a member. Raises Room.DoesNotExist."""
    room = Room.objects.get(slug=slug)
    deleted, _ = Membership.objects.filter(room=room, user_id=user_id).delete()
    if deleted:
        [offset] = history.take([room.topic_name])
        history.append([_member_entry("removed", room, User.objects.get(pk=user_id), offset)])
    return bool(deleted)


# ----------------------------------------------------------------------------------------------------------------
Key = tuple[int, int, str]  # room, author, client_id: unique


def _key(each: Post, rooms: dict[str, Room]) -> Key:
    return rooms[each.room].pk, each.author, each.client_id


def _refuse(each: Post, rooms: dict[str, Room], authors: dict[int, User]) -> Refusal | None:
    if each.room not in rooms:
        return NO_ROOM
    if each.author not in authors:
        return LEFT
    if refusal := refuse_text(each.text):
        return refusal
    if not 0 < len(each.client_id) <= MAX_ID or not storable(each.client_id):
        return UNSTORABLE
    return None


def refuse_text(text: str) -> Refusal | None:
    """Why a text cannot be a message, if it cannot."""
    if len(text) > MAX_TEXT:
        return Refusal("too_long", f"A message has at most {MAX_TEXT:,} characters; this one has {len(text):,}.")
    if not text.strip():
        return Refusal("invalid_message", "A message needs some text.")
    return None if storable(text) else UNSTORABLE


def storable(value: str) -> bool:
    """Whether every database can hold a text: no NUL, no half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _stored(keys: Iterable[Key], slugs: dict[int, str]) -> dict[Key, Ack]:
    """Which posts had been stored by an earlier attempt."""
    keys = list(keys)
    if not keys:
        return {}
    rooms, authors, client_ids = (set(part) for part in zip(*keys, strict=True))
    rows = Message.objects.filter(room__in=rooms, author__in=authors, client_id__in=client_ids)
    columns = rows.values_list("room_id", "author_id", "client_id", "offset", "id")
    return {(room, author, client_id): Ack(slugs[room], offset, id) for room, author, client_id, offset, id in columns}


def _store(posts: dict[Key, Post], rooms: dict[int, Room], authors: dict[int, User]) -> dict[Key, Ack]:
    """New members first, then the messages, in the order in which they were posted."""
    pairs = dict.fromkeys((author, room) for room, author, _ in posts)
    members = _memberships(pairs)
    joining = [pair for pair in pairs if pair not in members]
    rendered = [text.render(each.text) for each in posts.values()]
    numbers = iter(history.take([room_topic(room) for _, room in joining] + [room_topic(room) for room, _, _ in posts]))
    joined = [
        Membership(user_id=user, room_id=room, read_offset=offset)
        for (user, room), offset in zip(joining, numbers, strict=False)
    ]
    Membership.objects.bulk_create(joined)
    entries = [
        _member_entry("added", rooms[member.room_id], authors[member.user_id], member.read_offset) for member in joined
    ]
    now = timezone.now()
    messages = Message.objects.bulk_create(
        Message(
            room_id=room,
            author_id=author,
            offset=next(numbers),
            client_id=client_id,
            text=each.text,
            html=html,
            created_at=now,
        )
        for ((room, author, client_id), each), html in zip(posts.items(), rendered, strict=True)
    )
    for message in messages:
        room = rooms[message.room_id]
        shape = timeline.as_dict(message, authors[message.author_id])
        entries.append(
            Entry(room.topic_name, message.offset, protocol.message_created(room.slug, message.offset, shape))
        )
    history.append(entries)
    return {
        key: Ack(rooms[message.room_id].slug, message.offset, message.pk)
        for key, message in zip(posts, messages, strict=True)
    }


def _memberships(pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Membership]:
    """(user, room) → membership, for those that are members."""
    wanted = set(pairs)
    if not wanted:
        return {}
    users, rooms = (set(part) for part in zip(*wanted, strict=True))
    found = Membership.objects.filter(user__in=users, room__in=rooms)
    return {(member.user_id, member.room_id): member for member in found}


def _member_entry(change: protocol.Change, room: Room, user: User, offset: int) -> Entry:
    person = {"id": user.pk, "name": user.name}
    return Entry(room.topic_name, offset, protocol.member_changed(change, room.slug, offset, person))
