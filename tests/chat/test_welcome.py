"""`manage.py welcome`: a place to begin, made once."""

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from chat.models import Room, User

pytestmark = pytest.mark.django_db


def welcome() -> str:
    said = StringIO()
    call_command("welcome", stdout=said)
    return said.getvalue()


def password_in(said: str) -> str:
    found = re.search(r"password\s+(\S{16,})\n", said)
    assert found, said
    return found[1]


def test_it_opens_the_rooms_and_tells_the_password_of_an_administrator() -> None:
    said = welcome()
    assert set(Room.objects.values_list("slug", flat=True)) == {"lobby", "design", "deploys", "reading-club"}
    assert all(Room.objects.values_list("description", flat=True))
    assert "Staff log in at /admin/" in said
    admin = User.objects.get()
    assert (admin.username, admin.is_superuser, admin.is_staff) == ("admin", True, True)
    assert admin.check_password(password_in(said))


def test_that_password_opens_the_administration(client: Client) -> None:
    form = {"username": "admin", "password": password_in(welcome())}
    assert client.post("/admin/login/?next=/admin/", form)["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_again_it_changes_nothing_and_tells_no_password() -> None:
    welcome()
    before = User.objects.get().password
    said = welcome()
    assert "password" not in said
    assert "is there already" in said
    assert (User.objects.get().password, Room.objects.count()) == (before, 4)


def test_a_room_that_was_renamed_stays_renamed_and_one_that_is_missing_comes_back() -> None:
    welcome()
    Room.objects.filter(slug="design").update(name="Studio")
    Room.objects.filter(slug="deploys").delete()
    said = welcome()
    assert Room.objects.get(slug="design").name == "Studio"
    assert "#deploys is open" in said


def test_where_somebody_is_staff_there_is_no_other_administrator() -> None:
    User.objects.create_user("Ann", is_staff=True)
    assert "password" not in welcome()
    assert User.objects.count() == 1
    assert Room.objects.get(slug="lobby").created_by == User.objects.get()


def test_a_guest_named_admin_is_not_made_one() -> None:
    guest = User.objects.create(name="Admin", username="admin", is_guest=True)
    said = welcome()
    guest.refresh_from_db()
    assert not guest.is_staff
    assert re.search(r"name\s+admin-2\n", said)
    assert User.objects.get(username="admin-2").is_superuser


def test_it_names_the_site_where_the_site_has_a_name(settings: Any) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    assert "https://chat.example.org/admin/" in welcome()


def test_every_password_is_another() -> None:
    first = password_in(welcome())
    User.objects.all().delete()
    assert password_in(welcome()) != first
