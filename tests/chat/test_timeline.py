"""The reads: rooms as one person sees them, and pages of history."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from chat import rooms, timeline
from chat.models import Membership, Message, Room, User
from realtime_project import history
from realtime_project.models import TopicHead

pytestmark = pytest.mark.django_db


@pytest.fixture
def lobby(ann: User) -> Room:
    return rooms.create(ann.pk, "Lobby", "All the rest", "lobby")


def say(author: User, *texts: str, room: str = "lobby") -> list[int]:
    """The offsets under which `texts` were posted."""
    said = Message.objects.count()
    with transaction.atomic():
        acks = rooms.post([rooms.Post(author.pk, room, f"c-{said + n}", text) for n, text in enumerate(texts)])
    assert all(isinstance(ack, rooms.Ack) for ack in acks)
    return [ack.offset for ack in acks if isinstance(ack, rooms.Ack)]


def texts(page: dict[str, Any]) -> list[str]:
    return [message["text"] for message in page["messages"]]


# The shapes -----------------------------------------------------------------------------------------------------


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    assert timeline.timestamp(datetime(2026, 11, 20, 10, 0, tzinfo=UTC)) == "2026-11-20T10:00:00.000Z"
    berlin = timezone(timedelta(hours=1))
    assert timeline.timestamp(datetime(2026, 11, 20, 10, 0, 0, 999_999, berlin)) == "2026-11-20T09:00:00.999Z"


@given(st.integers(0, 250_000_000_000).map(lambda second: datetime.fromtimestamp(second / 997, UTC)))
def test_a_moment_is_read_back_as_it_was_to_the_millisecond(moment: datetime) -> None:
    written = timeline.timestamp(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written)
    read = datetime.fromisoformat(written)
    assert timedelta(0) <= moment.astimezone(UTC) - read < timedelta(milliseconds=1)


def test_a_message_has_the_documented_shape(ann: User, lobby: Room) -> None:
    [offset] = say(ann, "**hi**")
    message = Message.objects.get()
    assert timeline.page(lobby)["messages"] == [
        {
            "id": message.pk,
            "offset": offset,
            "author": {"id": ann.pk, "name": "Ann"},
            "text": "**hi**",
            "html": "<p><strong>hi</strong></p>",
            "created_at": timeline.timestamp(message.created_at),
            "client_id": "c-0",
            "edited_at": None,
            "deleted": False,
            "reactions": [],
        }
    ]


# Pages ----------------------------------------------------------------------------------------------------------


def test_an_empty_room_is_an_empty_page(ann: User) -> None:
    room = Room.objects.create(slug="bare", name="Bare")
    assert timeline.page(room) == {
        "room": "bare",
        "messages": [],
        "offset": 0,
        "epoch": history.epoch(),
        "more": False,
    }


def test_a_page_is_the_newest_messages_oldest_first(ann: User, lobby: Room) -> None:
    say(ann, *"abcdefg")
    page = timeline.page(lobby, limit=3)
    assert texts(page) == ["e", "f", "g"]
    assert page["more"]
    assert page["offset"] == page["messages"][-1]["offset"] == TopicHead.objects.get(name=lobby.topic_name).offset


def test_pages_join_without_a_gap_or_a_double(ann: User, lobby: Room) -> None:
    say(ann, *"abcdefg")
    read: list[str] = []
    before = None
    while True:
        page = timeline.page(lobby, before, limit=3)
        read = texts(page) + read
        if not page["more"]:
            break
        before = page["messages"][0]["offset"]
    assert read == list("abcdefg")


def test_a_page_that_ends_exactly_at_the_beginning_has_no_more(ann: User, lobby: Room) -> None:
    say(ann, *"abc")
    assert not timeline.page(lobby, limit=3)["more"]
    assert timeline.page(lobby, limit=2)["more"]


def test_before_may_be_farther_than_any_database_counts(ann: User, lobby: Room) -> None:
    say(ann, "a")
    assert texts(timeline.page(lobby, before=10**30)) == ["a"]
    assert texts(timeline.page(lobby, before=1)) == []


def test_a_page_holds_its_own_room_alone(ann: User, lobby: Room) -> None:
    other = rooms.create(ann.pk, "Other", "", "other")
    say(ann, "here")
    say(ann, "there", room="other")
    assert (texts(timeline.page(lobby)), texts(timeline.page(other))) == (["here"], ["there"])


def test_the_head_is_read_before_the_rows(ann: User, lobby: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is posted in between is in the rows already, and will be announced again."""
    say(ann, "early")
    heads = history.heads

    def meanwhile(names: list[str]) -> Any:
        answer = heads(names)
        say(ann, "late")
        return answer

    monkeypatch.setattr(history, "heads", meanwhile)
    page = timeline.page(lobby)
    assert texts(page) == ["early", "late"]
    assert page["offset"] == page["messages"][0]["offset"]


def test_a_page_takes_the_same_few_queries_however_long_it_is(
    ann: User, bob: User, lobby: Room, django_assert_num_queries: Any
) -> None:
    say(ann, *"abcdef")
    say(bob, *"ghijkl")
    with django_assert_num_queries(4):
        timeline.page(lobby)


# Rooms ----------------------------------------------------------------------------------------------------------


def seen_by(user: User, slug: str = "lobby") -> dict[str, Any]:
    return next(room for room in timeline.rooms_for(user) if room["slug"] == slug)


def test_a_room_has_the_documented_shape(ann: User, lobby: Room) -> None:
    head = TopicHead.objects.get(name=lobby.topic_name).offset
    read = Membership.objects.get().read_offset
    assert timeline.rooms_for(ann) == [
        {
            "slug": "lobby",
            "name": "Lobby",
            "description": "All the rest",
            "private": False,
            "mine": True,
            "member": True,
            "members": 1,
            "head": head,
            "read": read,
            "unread": 0,
        }
    ]
    json.dumps(timeline.rooms_for(ann))


def test_a_room_without_any_event_has_head_zero(ann: User) -> None:
    Room.objects.create(slug="bare", name="Bare")
    assert seen_by(ann, "bare") | {"slug": "bare"} == {
        "slug": "bare",
        "name": "Bare",
        "description": "",
        "private": False,
        "mine": False,
        "member": False,
        "members": 0,
        "head": 0,
        "read": 0,
        "unread": 0,
    }


def test_unread_is_what_others_said_since(ann: User, bob: User, lobby: Room) -> None:
    rooms.join(bob.pk, "lobby")
    say(ann, "a")
    first = say(bob, "b", "c")[0]
    assert (seen_by(ann)["unread"], seen_by(bob)["unread"]) == (2, 1)
    Membership.objects.filter(user=ann).update(read_offset=first)
    assert (seen_by(ann)["unread"], seen_by(ann)["read"]) == (1, first)


def test_nothing_is_unread_for_who_is_no_member(ann: User, bob: User, lobby: Room) -> None:
    say(ann, "a", "b")
    room = seen_by(bob)
    assert (room["member"], room["members"], room["unread"], room["read"]) == (False, 1, 0, 0)
    assert room["head"] > 0


def test_members_are_counted_and_leave(ann: User, bob: User, lobby: Room) -> None:
    rooms.join(bob.pk, "lobby")
    assert seen_by(ann)["members"] == 2
    rooms.leave(bob.pk, "lobby")
    assert seen_by(ann)["members"] == 1
    assert not seen_by(bob)["member"]


def test_rooms_come_by_name_whatever_its_case(ann: User) -> None:
    for name in ("beta", "Alpha", "Gamma"):
        rooms.create(ann.pk, name, "", name.lower())
    assert [room["name"] for room in timeline.rooms_for(ann)] == ["Alpha", "beta", "Gamma"]


def test_many_rooms_take_the_same_few_queries(ann: User, bob: User, django_assert_num_queries: Any) -> None:
    for number in range(30):
        rooms.create([ann, bob][number % 2].pk, f"Room {number}", "", f"room-{number}")
        say(bob, "hi", room=f"room-{number}")
    with django_assert_num_queries(3):
        assert len(timeline.rooms_for(ann)) == 30


def test_among_too_many_rooms_ones_own_and_the_current_one_are_kept(
    ann: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "ROOMS_LISTED", 3)
    for name in "abcde":
        rooms.create(bob.pk, name, "", name)
    rooms.create(ann.pk, "mine", "", "mine")
    assert [room["slug"] for room in timeline.rooms_for(ann)] == ["a", "b", "mine"]
    current = Room.objects.get(slug="e")
    assert [room["slug"] for room in timeline.rooms_for(ann, current)] == ["a", "b", "e", "mine"]
    assert len(timeline.rooms_for(ann, Room.objects.get(slug="a"))) == 3
