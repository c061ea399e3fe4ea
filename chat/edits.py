"""The changes of what has been said: edit, delete, react. Each takes a list, is set-wise and runs in group commits.

The rule: a message's text stands in its row and in one event of the room's log, its newest. What changes it takes the
old text out of the event that had it, in the same transaction: nobody is given it again. And whatever is asked for
twice is done once.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.utils import timezone

from realtime_project import history
from realtime_project.history import Entry

from . import emoji, protocol, text, timeline
from .models import Membership, Message, Reaction, Room, User
from .rooms import LEFT, Ack, Refusal, refuse_text

MOST_REACTIONS = 20  # different emoji under one message

NO_MESSAGE = Refusal("not_found", "There is no such message, or it is not yours to change.")
NO_EMOJI = Refusal("invalid_message", "A reaction is a single emoji.")
ENOUGH = Refusal("invalid_message", f"A message has at most {MOST_REACTIONS} different reactions.")


class Edit(NamedTuple):
    user: int
    message: int
    text: str


class Delete(NamedTuple):
    user: int
    message: int


class React(NamedTuple):
    user: int
    message: int
    emoji: str
    on: bool


def edit(edits: list[Edit]) -> list[Ack | Refusal]:
    """Give messages another text: an Ack or a Refusal for each. Needs a transaction.

    Only the author may. The text that the message has already is no edit.
    """
    refused = {each.text: refuse_text(each.text) for each in edits}
    rendered = {each: text.render(each) for each, refusal in refused.items() if not refusal}
    changes = Changes(edits)
    results: list[Ack | Refusal] = []
    for each in edits:
        message = changes.message(each)
        if isinstance(message, Refusal):
            results.append(message)
        elif message.author_id != each.user or message.deleted_at:
            results.append(NO_MESSAGE)
        elif refusal := refused[each.text]:
            results.append(refusal)
        else:
            if message.text != each.text:
                changes.blank(message)
                message.text, message.html = each.text, rendered[each.text]
                message.edited_at = timezone.now()
                message.changed_offset = changes.next(message)
                shape = timeline.edited_as_dict(message, message.author)
                changes.tell(message, protocol.message_edited(message.room.slug, message.changed_offset, shape))
            results.append(changes.ack(message, message.changed_offset or message.offset))
    changes.store()
    return results


def delete(deletes: list[Delete]) -> list[Ack | Refusal]:
    """Take messages away, with their reactions: an Ack or a Refusal for each. Needs a transaction.

    The author may, and staff with the permission chat.delete_message. The row stays, without a text.
    """
    changes = Changes(deletes)
    results: list[Ack | Refusal] = []
    gone = []
    for each in deletes:
        message = changes.message(each)
        if isinstance(message, Refusal):
            results.append(message)
        elif message.author_id != each.user and not may_delete(changes.people[each.user]):
            results.append(NO_MESSAGE)
        else:
            if not message.deleted_at:
                changes.blank(message)
                message.text = message.html = ""
                message.deleted_at = timezone.now()
                message.changed_offset = changes.next(message)
                changes.tell(message, protocol.message_deleted(message.room.slug, message.changed_offset, message.pk))
                gone.append(message.pk)
            results.append(changes.ack(message, message.changed_offset or message.offset))
    if gone:
        Reaction.objects.filter(message__in=gone).delete()
    changes.store()
    return results


def react(reacts: list[React]) -> list[Ack | Refusal]:
    """Put reactions under messages, or take them away: an Ack or a Refusal for each. Needs a transaction."""
    changes = Changes(reacts)
    counts = timeline.reactions_of(changes.messages)
    rows = Reaction.objects.filter(message__in=changes.messages, user__in=changes.people)
    mine = {(row.message_id, row.user_id, row.emoji): row for row in rows}
    removed = []
    results: list[Ack | Refusal] = []
    for each in reacts:
        message, spelled = changes.message(each), emoji.one(each.emoji)
        if isinstance(message, Refusal) or message.deleted_at:
            results.append(message if isinstance(message, Refusal) else NO_MESSAGE)
            continue
        if not spelled:
            results.append(NO_EMOJI)
            continue
        key = message.pk, each.user, spelled
        shown = counts.setdefault(message.pk, [])
        if each.on == (key in mine):
            results.append(changes.ack(message, mine[key].offset if each.on else changes.next(message) - 1))
            continue
        count = next((reaction for reaction in shown if reaction["emoji"] == spelled), None)
        if each.on and not count and len(shown) >= MOST_REACTIONS:
            results.append(ENOUGH)
            continue
        offset = changes.next(message)
        if each.on:
            mine[key] = Reaction(message_id=message.pk, user_id=each.user, emoji=spelled, offset=offset)
            if count:
                count["count"] += 1
            else:
                shown.append({"emoji": spelled, "count": 1})
        else:
            removed.append(mine.pop(key).pk)  # None: this very list had put it there
            assert count, "a reaction that nobody counted"
            count["count"] -= 1
            if not count["count"]:
                shown.remove(count)
        person = {"id": each.user, "name": changes.people[each.user].name}
        told = protocol.message_reacted(message.room.slug, offset, message.pk, person, spelled, each.on, shown)
        changes.tell(message, told)
        results.append(changes.ack(message, offset))
    if any(removed):
        Reaction.objects.filter(pk__in=filter(None, removed)).delete()
    Reaction.objects.bulk_create(row for row in mine.values() if row.pk is None)
    changes.store()
    return results


# ----------------------------------------------------------------------------------------------------------------
class Changes:
    """The messages that a list is about, read once their rooms' heads are locked, and what is to be stored of them."""

    def __init__(self, items: Sequence[Edit | Delete | React]) -> None:
        numbers = {each.message for each in items}
        topics = [room.topic_name for room in Room.objects.filter(messages__in=numbers).distinct()]
        self._next = dict(zip(topics, history.take(topics), strict=True))
        self.messages = Message.objects.select_related("room", "author").in_bulk(numbers)
        self.people = User.objects.filter(is_active=True).in_bulk({each.user for each in items})
        members = Membership.objects.filter(user__in=self.people, room__messages__in=numbers)
        self._members = set(members.values_list("user_id", "room_id"))  # asked under the lock, like the messages
        self._changed: dict[int, Message] = {}
        self._told: dict[tuple[str, int], Entry] = {}
        self._rewritten: dict[tuple[str, int], Entry] = {}

    def message(self, item: Edit | Delete | React) -> Message | Refusal:
        """The message, if the user may be told that it exists. Deleted ones are still here."""
        if item.user not in self.people:
            return LEFT
        message = self.messages.get(item.message)
        if not message or (message.room.is_private and (item.user, message.room_id) not in self._members):
            return NO_MESSAGE
        return message

    def next(self, message: Message) -> int:
        """The offset of the next event in the message's room."""
        return self._next[message.room.topic_name]

    def tell(self, message: Message, event: str) -> None:
        """Append an event under the next() offset."""
        topic = message.room.topic_name
        self._told[topic, self._next[topic]] = Entry(topic, self._next[topic], event)
        self._next[topic] += 1

    def blank(self, message: Message) -> None:
        """Take the text out of the one event that has it; the message itself is about to change."""
        self._changed[message.pk] = message
        topic, offset = place = message.room.topic_name, message.changed_offset or message.offset
        shape, make = timeline.as_dict(message, message.author), protocol.message_created
        if message.changed_offset:
            shape, make = timeline.edited_as_dict(message, message.author), protocol.message_edited
        entry = Entry(topic, offset, make(message.room.slug, offset, shape | {"text": "", "html": ""}))
        (self._told if place in self._told else self._rewritten)[place] = entry

    def ack(self, message: Message, offset: int) -> Ack:
        return Ack(message.room.slug, offset, message.pk)

    def store(self) -> None:
        columns = ["text", "html", "edited_at", "deleted_at", "changed_offset"]
        Message.objects.bulk_update(self._changed.values(), columns)
        if self._told:
            history.append(self._told.values(), self._rewritten.values())


def may_delete(user: User) -> bool:
    return user.is_staff and user.has_perm("chat.delete_message")
