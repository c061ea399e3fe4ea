"""The writes of chat: post, join, leave, remove, create, mark read.

The rule: nothing else writes rooms and memberships or adds messages (edits.py changes these), and whatever the members
should see is appended to the room's log in the same transaction. `post` and `mark_read` take lists and are set-wise:
they run in group commits.

Who may write to a room is decided here, under the lock of the room, whatever was decided before.
"""

from collections.abc import Iterable
from typing import NamedTuple

from django.core.exceptions import PermissionDenied
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
    slugs, people = {each.room for each in posts}, {each.author for each in posts}
    rooms = Room.objects.in_bulk(slugs, field_name="slug")
    authors = User.objects.filter(is_active=True).in_bulk(people)
    members = _memberships(people, slugs)
    refusals = _refusals(posts, rooms, authors, members)
    targets = {rooms[each.room] for each in posts if each not in refusals}
    if any(room.is_private for room in targets):
        history.take([room.topic_name for room in targets])  # locks the rooms: who is a member now stays one
        members = _memberships(people, slugs)
        refusals = _refusals(posts, rooms, authors, members)
    wanted: dict[Key, Post] = {}
    for each in posts:
        if each not in refusals:
            wanted.setdefault(_key(each, rooms), each)  # the first of equals
    stored = _stored(wanted, {room.pk: room.slug for room in rooms.values()})
    fresh = {key: each for key, each in wanted.items() if key not in stored}
    if fresh:
        stored |= _store(fresh, {room.pk: room for room in rooms.values()}, authors, members)
    return [refusals[each] if each in refusals else stored[_key(each, rooms)] for each in posts]


def mark_read(marks: list[Mark]) -> list[int | Refusal]:
    """Move members' read marks forward: the mark that now holds, for each. Needs a transaction."""
    people, slugs = {mark.user for mark in marks}, {mark.room for mark in marks}
    found = _memberships(people, slugs, lock=True)  # so that no other server moves one back
    members = {(member.user_id, member.room.slug): member for member in found.values()}
    _, heads = history.heads([member.room.topic_name for member in found.values()])
    moved: dict[int, Membership] = {}
    results: list[int | Refusal] = []
    for mark in marks:
        member = members.get((mark.user, mark.room))
        if not member:
            results.append(NO_ROOM)
            continue
        offset = min(mark.offset, heads.get(member.room.topic_name, 0))
        if offset > member.read_offset:
            member.read_offset = offset
            moved[member.pk] = member
        results.append(member.read_offset)
    Membership.objects.bulk_update(moved.values(), ["read_offset"])
    return results


@transaction.atomic
def create(user_id: int, name: str, description: str, slug: str, is_private: bool = False) -> Room:
    """A new room, with its creator as a member. The slug must be free."""
    room = Room.objects.create(
        slug=slug, name=name, description=description, created_by_id=user_id, is_private=is_private
    )
    admit(user_id, room)
    return room


@transaction.atomic
def join(user_id: int, slug: str) -> bool:
    """True if the user was no member before. Raises Room.DoesNotExist."""
    return admit(user_id, Room.objects.open_to(user_id).get(slug=slug))


def admit(user_id: int, room: Room) -> bool:
    """True if the user was no member before. Needs a transaction, and a caller who knows that they may come in."""
    [offset] = history.take([room.topic_name])  # locks the room: whoever else adds the same member waits
    if Membership.objects.filter(room=room, user_id=user_id).exists():
        return False
    Membership.objects.create(room=room, user_id=user_id, read_offset=offset)  # what was said before is not unread
    history.append([_member_entry("added", room, User.objects.get(pk=user_id), offset)])
    return True


@transaction.atomic
def leave(user_id: int, slug: str) -> bool:
    """True if the user was a member. Raises Room.DoesNotExist."""
    return _dismiss(user_id, Room.objects.open_to(user_id).get(slug=slug))


@transaction.atomic
def remove(remover_id: int, slug: str, user_id: int) -> bool:
    """Take a member out of a private room: True if they were one. Its creator may, and nobody else.

    All links to the room end: who is removed may know them. Raises Room.DoesNotExist and PermissionDenied.
    """
    room = Room.objects.open_to(remover_id).get(slug=slug)
    if not room.is_private or room.created_by_id != remover_id or user_id == remover_id:
        raise PermissionDenied("Only who made a private room may remove others from it.")
    removed = _dismiss(user_id, room)
    room.invitations.all().delete()
    return removed


# ----------------------------------------------------------------------------------------------------------------
def _dismiss(user_id: int, room: Room) -> bool:
    [offset] = history.take([room.topic_name])  # locks the room first, as those do who post and join
    deleted, _ = Membership.objects.filter(room=room, user_id=user_id).delete()
    if deleted:
        history.append([_member_entry("removed", room, User.objects.get(pk=user_id), offset)])
    return bool(deleted)


Key = tuple[int, int, str]  # room, author, client_id: unique


def _key(each: Post, rooms: dict[str, Room]) -> Key:
    return rooms[each.room].pk, each.author, each.client_id


Members = dict[tuple[int, int], Membership]  # by user and room


def _refusals(
    posts: list[Post], rooms: dict[str, Room], authors: dict[int, User], members: Members
) -> dict[Post, Refusal]:
    return {each: refusal for each in posts if (refusal := _refuse(each, rooms, authors, members))}


def _refuse(each: Post, rooms: dict[str, Room], authors: dict[int, User], members: Members) -> Refusal | None:
    room = rooms.get(each.room)
    if room is None or (room.is_private and (each.author, room.pk) not in members):
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


def _store(
    posts: dict[Key, Post], rooms: dict[int, Room], authors: dict[int, User], members: Members
) -> dict[Key, Ack]:
    """New members first, then the messages, in the order in which they were posted."""
    pairs = dict.fromkeys((author, room) for room, author, _ in posts)
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


def _memberships(users: Iterable[int], slugs: Iterable[str], lock: bool = False) -> Members:
    """Who of these people is a member of which of these rooms. One query, whether the rooms exist or not."""
    found = Membership.objects.filter(user__in=users, room__slug__in=slugs).select_related("room")
    if lock:
        found = found.select_for_update(of=("self",)).order_by("pk")
    return {(member.user_id, member.room_id): member for member in found}


def _member_entry(change: protocol.Change, room: Room, user: User, offset: int) -> Entry:
    person = {"id": user.pk, "name": user.name}
    return Entry(room.topic_name, offset, protocol.member_changed(change, room.slug, offset, person))
