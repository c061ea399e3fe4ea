"""The writes of chat, in process."""

import pytest
from django.db import transaction

from chat import rooms
from chat.models import Membership, User
from chat.rooms import Ack, Mark, Post
from realtime_project import history

pytestmark = pytest.mark.django_db


def post(*posts: Post) -> list[Ack | rooms.Refusal]:
    with transaction.atomic():
        return rooms.post(list(posts))


def test_a_list_keeps_its_order_also_where_an_id_comes_twice(ann: User) -> None:
    room = rooms.create(ann.pk, "Room", "", "room")
    first, second = Post(ann.pk, "room", "a", "first"), Post(ann.pk, "room", "b", "second")
    a, b, again = post(first, second, first)
    assert isinstance(a, Ack)
    assert isinstance(b, Ack)
    assert a.offset < b.offset
    assert again == a
    assert [event.offset for event in history.page(room.topic_name, 0, None, 9)[1]] == [1, 2, 3]


def test_one_refusal_in_a_list_is_that_posts_alone(ann: User) -> None:
    rooms.create(ann.pk, "Room", "", "room")
    good, nowhere, empty = post(
        Post(ann.pk, "room", "a", "hi"), Post(ann.pk, "none", "b", "hi"), Post(ann.pk, "room", "c", " ")
    )
    assert isinstance(good, Ack)
    assert [getattr(each, "code", None) for each in (nowhere, empty)] == ["not_found", "invalid_message"]


def test_a_person_who_was_deactivated_posts_no_more(ann: User) -> None:
    rooms.create(ann.pk, "Room", "", "room")
    User.objects.update(is_active=False)
    [refusal] = post(Post(ann.pk, "room", "a", "hi"))
    assert isinstance(refusal, rooms.Refusal)
    assert refusal.code == "unauthenticated"


def test_who_joins_begins_with_nothing_unread(ann: User) -> None:
    room = rooms.create(ann.pk, "Room", "", "room")
    post(*(Post(ann.pk, "room", str(number), "hi") for number in range(5)))
    bob, cid = User.objects.create_user("Bob"), User.objects.create_user("Cid")
    assert rooms.join(bob.pk, "room")
    assert not rooms.join(bob.pk, "room")
    post(Post(cid.pk, "room", "c", "hello"))
    marks = dict(Membership.objects.filter(room=room).values_list("user__name", "read_offset"))
    assert (marks["Bob"], marks["Cid"]) == (7, 8)


def test_read_marks_move_in_lists_and_never_back(ann: User) -> None:
    rooms.create(ann.pk, "Room", "", "room")
    post(Post(ann.pk, "room", "a", "hi"), Post(ann.pk, "room", "b", "hi"))
    with transaction.atomic():
        results = rooms.mark_read([Mark(ann.pk, "room", 2), Mark(ann.pk, "room", 99), Mark(ann.pk, "none", 1)])
    assert results == [2, 3, rooms.NO_ROOM]
    with transaction.atomic():
        assert rooms.mark_read([Mark(ann.pk, "room", 1)]) == [3]


def test_joining_and_leaving_are_told_once(ann: User) -> None:
    room = rooms.create(ann.pk, "Room", "", "room")
    assert rooms.leave(ann.pk, "room")
    assert not rooms.leave(ann.pk, "room")
    told = [str(event.content)[9:23] for event in history.page(room.topic_name, 0, None, 9)[1]]
    assert told == ['member.added",', "member.removed"]
