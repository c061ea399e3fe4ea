"""The reads of the chat: rooms as one person sees them, and pages of what was said. Nothing here writes.

A page's `offset` and `epoch` are read before its rows: what happens meanwhile is then announced again, never missed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import Case, Count, Exists, IntegerField, Min, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from realtime_project import history, registry

from .models import Invitation, Membership, Message, Reaction, Room, User

MEMBERS_LISTED = 500  # who made the room first, then who is online, then by name
ROOMS_LISTED = 500  # one's own rooms come first
PAGE = 50  # messages
LARGEST_PAGE = 100  # messages
LAST_OFFSET = 2**63 - 1  # that the database can compare with


def timestamp(moment: datetime) -> str:
    """As in 2026-11-20T10:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_dict(message: Message, author: User) -> dict[str, Any]:
    """The one shape that a message has in JSON, in pages as in events. `author` is given: no query hides here."""
    return {
        "id": message.pk,
        "author": {"id": author.pk, "name": author.name},
        "text": message.text,
        "html": message.html,
        "created_at": timestamp(message.created_at),
        "client_id": message.client_id,
    }


def edited_as_dict(message: Message, author: User) -> dict[str, Any]:
    return as_dict(message, author) | {"edited_at": message.edited_at and timestamp(message.edited_at)}


def entry_of_page(message: Message, reactions: list[dict[str, Any]]) -> dict[str, Any]:
    """All there is to know of a message at once: an event has its offset beside it, and tells of one change."""
    more = {"offset": message.offset, "deleted": message.deleted_at is not None, "reactions": reactions}
    return edited_as_dict(message, message.author) | more


def reactions_of(messages: Iterable[int], reader: int | None = None) -> dict[int, list[dict[str, Any]]]:
    """Message → its reactions, the first one first. With a `reader`, each says whether it is (also) theirs."""
    rows = Reaction.objects.filter(message__in=messages).values("message_id", "emoji")
    rows = rows.annotate(count=Count("pk"), mine=Count("pk", filter=Q(user=reader)), first=Min("pk")).order_by("first")
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        reaction = {"emoji": row["emoji"], "count": row["count"]}
        if reader is not None:
            reaction["mine"] = row["mine"] > 0
        found.setdefault(row["message_id"], []).append(reaction)
    return found


def page(room: Room, before: int | None = None, limit: int = PAGE, reader: int | None = None) -> dict[str, Any]:
    """The newest `limit` messages, oldest first, or the newest of those whose offset is less than `before`.

    reader: the id of the person whose reactions are marked as theirs.
    """
    epoch, heads = history.heads([room.topic_name])
    messages = Message.objects.filter(room=room).select_related("author").order_by("-offset")
    if before is not None:
        messages = messages.filter(offset__lt=min(before, LAST_OFFSET))
    newest = list(messages[: limit + 1])  # one more, to know whether there is more
    reactions = reactions_of([message.pk for message in newest[:limit]], reader or 0)
    return {
        "room": room.slug,
        "messages": [entry_of_page(message, reactions.get(message.pk, [])) for message in reversed(newest[:limit])],
        "offset": heads.get(room.topic_name, 0),
        "epoch": epoch,
        "more": len(newest) > limit,
    }


def rooms_for(user: User, current: Room | None = None) -> list[dict[str, Any]]:
    """The rooms that `user` may see, by name, and how they stand to each: three queries, however many there are.

    Beyond ROOMS_LISTED rooms, the user's own come first; the `current` one is always there.
    """
    mine = Membership.objects.filter(room=OuterRef("pk"), user=user)
    missed = Message.objects.filter(room=OuterRef("pk"), offset__gt=OuterRef("seen")).exclude(author=user)
    missed = missed.filter(deleted_at=None)
    rooms = Room.objects.open_to(user.pk).annotate(
        member=Exists(mine),
        seen=Subquery(mine.values("read_offset")),  # NULL where the user is no member, and nothing is greater than that
        people=_count(Membership.objects.filter(room=OuterRef("pk"))),
        unread=_count(missed),
    )
    listed = list(rooms.order_by("-member", "name")[:ROOMS_LISTED])
    if current and current not in listed:
        listed.append(rooms.get(pk=current.pk))
    _, heads = history.heads([room.topic_name for room in listed])
    return [
        {
            "slug": room.slug,
            "name": room.name,
            "description": room.description,
            "private": room.is_private,
            "mine": room.created_by_id == user.pk,
            "member": room.member,
            "members": room.people,
            "head": heads.get(room.topic_name, 0),
            "read": room.seen or 0,
            "unread": room.unread,
        }
        for room in sorted(listed, key=lambda room: (room.name.casefold(), room.pk))
    ]


def members(room: Room, person: User, links: Iterable[Invitation]) -> dict[str, Any]:
    """Who is in a room, and which `links` lead into it, with what `person` may do about either."""
    owner = room.created_by_id
    memberships = Membership.objects.filter(room=room).select_related("user")
    shown = memberships.annotate(online=Exists(registry.online().filter(user=OuterRef("user"))))
    first = shown.order_by(Case(When(user=owner, then=0), default=1), "-online", "user__username")[:MEMBERS_LISTED]
    may_remove = room.is_private and owner == person.pk
    return {
        "members": [
            {
                "id": member.user_id,
                "name": member.user.name,
                "online": member.online,
                "made_it": member.user_id == owner,
                "removable": may_remove and member.user_id != person.pk,
            }
            for member in first
        ],
        "count": memberships.count(),
        "invitations": [
            {
                "id": invitation.pk,
                "by": invitation.created_by.name,
                "expires_at": timestamp(invitation.expires_at),
                "endable": person.pk in (invitation.created_by_id, owner),
            }
            for invitation in links
        ],
    }


def _count(rows: QuerySet[Any]) -> Coalesce:
    """The number of `rows` that belong to the outer query's room."""
    numbers = rows.order_by().values("room").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(numbers, output_field=IntegerField()), 0)
