"""Edit, delete and react, in process: lists, the rows they leave and the log they rewrite."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction

from chat import edits, rooms, timeline
from chat.edits import Delete, Edit, React
from chat.models import Message, Reaction, Room, User
from chat.rooms import Ack, Refusal
from realtime_project import history
from realtime_project.models import TopicEvent

pytestmark = pytest.mark.django_db

SECRET = "the old text"


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("Bob", is_guest=True)


@pytest.fixture
def lobby(ann: User) -> Room:
    return rooms.create(ann.pk, "Lobby", "All the rest", "lobby")


def write(function: Callable[[list[Any]], list[Ack | Refusal]], *items: Any) -> list[Any]:
    """As a group commit does: one list, one transaction. A refusal is given as its code."""
    with transaction.atomic():
        results = function(list(items))
    return [each if isinstance(each, Ack) else each.code for each in results]


def say(author: User, text: str = SECRET, room: str = "lobby") -> int:
    """The number of a new message."""
    [ack] = write(rooms.post, rooms.Post(author.pk, room, f"c-{Message.objects.count()}", text))
    number: int = ack.message
    return number


def log(room: Room) -> list[dict[str, Any]]:
    return [json.loads(event.content) for event in history.page(room.topic_name, 0, None, 1_000)[1]]


def stored() -> bytes:
    """All that the log holds."""
    return b"\n".join(bytes(content) for content in TopicEvent.objects.values_list("content", flat=True))


# Edit -----------------------------------------------------------------------------------------------------------


def test_an_edit_is_an_event_with_the_whole_message(ann: User, lobby: Room) -> None:
    number = say(ann)
    [ack] = write(edits.edit, Edit(ann.pk, number, "**new**"))
    message = Message.objects.get()
    assert ack == Ack("lobby", 3, number)
    assert (message.text, message.html, message.offset, message.changed_offset) == (
        "**new**",
        "<p><strong>new</strong></p>",
        2,
        3,
    )
    assert message.edited_at
    assert log(lobby)[-1] == {
        "type": "message.edited",
        "room": "lobby",
        "offset": 3,
        "message": {
            "id": number,
            "author": {"id": ann.pk, "name": "Ann"},
            "text": "**new**",
            "html": "<p><strong>new</strong></p>",
            "created_at": timeline.timestamp(message.created_at),
            "client_id": "c-0",
            "edited_at": timeline.timestamp(message.edited_at),
        },
    }


def test_a_text_that_was_taken_back_is_nowhere_in_the_log(ann: User, lobby: Room) -> None:
    number = say(ann)
    for text in ("second secret", "third secret"):
        write(edits.edit, Edit(ann.pk, number, text))
    assert SECRET.encode() not in stored()
    assert b"second secret" not in stored()
    created, edited, newest = log(lobby)[1:]
    assert (created["type"], created["message"]["text"], created["message"]["html"]) == ("message.created", "", "")
    assert (edited["type"], edited["message"]["text"], edited["message"]["html"]) == ("message.edited", "", "")
    assert created["message"]["id"] == edited["message"]["id"] == number
    assert newest["message"]["text"] == "third secret"
    write(edits.delete, Delete(ann.pk, number))
    assert b"secret" not in stored()
    assert [event["offset"] for event in log(lobby)] == [1, 2, 3, 4, 5]


def test_the_same_text_again_is_no_edit(ann: User, lobby: Room) -> None:
    number = say(ann)
    assert write(edits.edit, Edit(ann.pk, number, SECRET)) == [Ack("lobby", 2, number)]
    first = write(edits.edit, Edit(ann.pk, number, "new"))
    assert write(edits.edit, Edit(ann.pk, number, "new")) == first
    assert len(log(lobby)) == 3


def test_a_list_is_done_in_its_order(ann: User, bob: User, lobby: Room) -> None:
    other = rooms.create(bob.pk, "Other", "", "other")
    one, two, three = say(ann, "one"), say(bob, "two", "other"), say(ann, "three")
    before = history.heads([lobby.topic_name, other.topic_name])[1]
    results = write(
        edits.edit,
        Edit(ann.pk, one, "1 draft"),
        Edit(bob.pk, one, "not his"),
        Edit(bob.pk, two, "2"),
        Edit(ann.pk, one, "1"),
        Edit(ann.pk, three, "3"),
        Edit(ann.pk, 10**9, "nothing"),
    )
    head, other_head = before[lobby.topic_name], before[other.topic_name]
    assert results == [
        Ack("lobby", head + 1, one),
        "not_found",
        Ack("other", other_head + 1, two),
        Ack("lobby", head + 2, one),
        Ack("lobby", head + 3, three),
        "not_found",
    ]
    assert b"1 draft" not in stored()
    assert dict(Message.objects.values_list("pk", "text")) == {one: "1", two: "2", three: "3"}
    assert [event["offset"] for event in log(lobby)] == list(range(1, head + 4))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_message"),
        (" \n ", "invalid_message"),
        ("a\0b", "invalid_message"),
        ("\ud800", "invalid_message"),
        ("x" * 4_001, "too_long"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_an_edit_follows_the_rules_of_a_post(ann: User, lobby: Room, text: str, code: str) -> None:
    number = say(ann)
    assert write(edits.edit, Edit(ann.pk, number, text)) == [code]
    assert Message.objects.get().text == SECRET
    assert len(log(lobby)) == 2


def test_who_is_no_longer_active_changes_nothing(ann: User, lobby: Room) -> None:
    number = say(ann)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert write(edits.edit, Edit(ann.pk, number, "new")) == ["unauthenticated"]
    assert write(edits.delete, Delete(ann.pk, number)) == ["unauthenticated"]
    assert write(edits.react, React(ann.pk, number, "👍", True)) == ["unauthenticated"]
    assert len(log(lobby)) == 2


# Delete ---------------------------------------------------------------------------------------------------------


def test_a_deleted_message_leaves_an_empty_row(ann: User, bob: User, lobby: Room) -> None:
    number = say(ann)
    write(edits.react, React(bob.pk, number, "👍", True))
    [ack] = write(edits.delete, Delete(ann.pk, number))
    assert write(edits.delete, Delete(ann.pk, number)) == [ack]
    assert log(lobby)[-1] == {"type": "message.deleted", "room": "lobby", "offset": 4, "message": {"id": number}}
    assert len(log(lobby)) == 4
    assert SECRET.encode() not in stored()
    [shape] = timeline.page(lobby)["messages"]
    assert (shape["deleted"], shape["text"], shape["html"], shape["reactions"]) == (True, "", "", [])
    assert not Reaction.objects.exists()


def test_what_is_deleted_stays_so(ann: User, bob: User, lobby: Room) -> None:
    number = say(ann)
    write(edits.delete, Delete(ann.pk, number))
    assert write(edits.edit, Edit(ann.pk, number, "back")) == ["not_found"]
    assert write(edits.react, React(bob.pk, number, "👍", True)) == ["not_found"]
    assert write(edits.delete, Delete(bob.pk, number)) == ["not_found"]
    assert len(log(lobby)) == 3


def test_staff_delete_by_permission_and_edit_nothing_of_others(ann: User, bob: User, lobby: Room) -> None:
    first, second = say(ann), say(ann)
    may = Permission.objects.get(codename="delete_message", content_type__app_label="chat")
    bob.user_permissions.add(may)
    assert write(edits.delete, Delete(bob.pk, first)) == ["not_found"]  # the permission alone makes no staff
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    assert write(edits.edit, Edit(bob.pk, first, "in her name")) == ["not_found"]
    assert isinstance(write(edits.delete, Delete(bob.pk, first))[0], Ack)
    bob.user_permissions.clear()
    assert write(edits.delete, Delete(bob.pk, second)) == ["not_found"]


def test_what_is_deleted_is_not_unread(ann: User, bob: User, lobby: Room) -> None:
    rooms.join(bob.pk, "lobby")
    number = say(ann)
    say(ann)
    write(edits.delete, Delete(ann.pk, number))
    [listed] = timeline.rooms_for(bob)
    assert listed["unread"] == 1


# React ----------------------------------------------------------------------------------------------------------


def test_a_reaction_is_there_once_and_goes_once(ann: User, bob: User, lobby: Room) -> None:
    number = say(ann)
    on, off = React(bob.pk, number, "👍", True), React(bob.pk, number, "👍", False)
    assert write(edits.react, off) == [Ack("lobby", 2, number)]
    assert write(edits.react, on, on) == [Ack("lobby", 3, number)] * 2
    assert write(edits.react, on) == [Ack("lobby", 3, number)]
    assert log(lobby)[-1] == {
        "type": "message.reacted",
        "room": "lobby",
        "offset": 3,
        "message": {"id": number},
        "user": {"id": bob.pk, "name": "Bob"},
        "emoji": "👍",
        "on": True,
        "reactions": [{"emoji": "👍", "count": 1}],
    }
    write(edits.react, React(ann.pk, number, "👍", True), React(ann.pk, number, "❤", True))
    assert timeline.page(lobby, reader=bob.pk)["messages"][0]["reactions"] == [
        {"emoji": "👍", "count": 2, "mine": True},
        {"emoji": "❤️", "count": 1, "mine": False},
    ]
    assert write(edits.react, off, off) == [Ack("lobby", 6, number)] * 2
    assert log(lobby)[-1]["reactions"] == [{"emoji": "👍", "count": 1}, {"emoji": "❤️", "count": 1}]
    assert [event["offset"] for event in log(lobby)] == [1, 2, 3, 4, 5, 6]


def test_on_and_off_within_one_list(ann: User, lobby: Room) -> None:
    number = say(ann)
    write(edits.react, *(React(ann.pk, number, "🎉", on) for on in (True, False, True, False)))
    assert [event["on"] for event in log(lobby)[2:]] == [True, False, True, False]
    assert log(lobby)[-1]["reactions"] == []
    assert not Reaction.objects.exists()
    write(edits.react, *(React(ann.pk, number, "🎉", on) for on in (True, False, True)))
    assert Reaction.objects.get().offset == log(lobby)[-1]["offset"]


def test_twenty_different_reactions_are_enough(ann: User, bob: User, lobby: Room) -> None:
    number = say(ann)
    many = [chr(0x1F600 + index) for index in range(21)]
    results = write(edits.react, *(React(ann.pk, number, each, True) for each in many))
    assert [result for result in results if not isinstance(result, Ack)] == ["invalid_message"]
    assert isinstance(write(edits.react, React(bob.pk, number, many[0], True))[0], Ack)
    assert write(edits.react, React(bob.pk, number, many[20], True)) == ["invalid_message"]


@pytest.mark.parametrize("emoji", ["", "a", "👍👍", "<b>", "\0"])
def test_a_reaction_is_one_emoji(ann: User, lobby: Room, emoji: str) -> None:
    assert write(edits.react, React(ann.pk, say(ann), emoji, True)) == ["invalid_message"]


# Queries --------------------------------------------------------------------------------------------------------


def test_a_longer_list_takes_no_more_queries(ann: User, lobby: Room, django_assert_max_num_queries: Any) -> None:
    numbers = [say(ann, f"text {n}") for n in range(50)]
    with django_assert_max_num_queries(16):
        write(edits.edit, *(Edit(ann.pk, number, "new") for number in numbers))
    with django_assert_max_num_queries(16):
        write(edits.react, *(React(ann.pk, number, "👍", True) for number in numbers))
    with django_assert_max_num_queries(16):
        write(edits.delete, *(Delete(ann.pk, number) for number in numbers))
    timeline.page(lobby)
