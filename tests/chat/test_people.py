"""How people come in: as guests by a name, by signing up, by logging in. And what is kept out."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from axes.models import AccessAttempt
from django.db import connections
from django.test import AsyncClient, Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from chat import rooms
from chat.forms import LineField
from chat.models import Membership, User
from chat.views import address_of

pytestmark = pytest.mark.django_db

GUEST, SIGNUP, LOGIN, LOGOUT = "/accounts/guest/", "/accounts/signup/", "/accounts/login/", "/accounts/logout/"
PASSWORD = "harbour lights at four"
TAKEN = "That name is taken."


@pytest.fixture(autouse=True)
def hash_quickly(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def member() -> User:
    return User.objects.create_user("Ann Lee", password=PASSWORD)


def me(client: Client) -> User | None:
    """Whose session the client has."""
    return User.objects.filter(pk=client.session.get("_auth_user_id", 0)).first()


def key_of(client: Client) -> str:
    """What stands in the client's session cookie."""
    return str(client.session.session_key)


def errors(response: Any) -> str:
    return " ".join(text for texts in response.context["form"].errors.values() for text in texts)


def enter(name: str, client: Client | None = None, **extra: Any) -> Any:
    return (client or Client()).post(GUEST, {"name": name}, **extra)


def sign_up(name: str, client: Client | None = None, password: str = PASSWORD, again: str | None = None) -> Any:
    form = {"name": name, "password1": password, "password2": password if again is None else again}
    return (client or Client()).post(SIGNUP, form)


# Guests ---------------------------------------------------------------------------------------------------------


def test_the_pages_are_shown(client: Client) -> None:
    for page in (GUEST, SIGNUP, LOGIN):
        shown = client.get(page)
        assert shown.status_code == 200
        assert shown["Cache-Control"] == "no-store" or "no-store" in shown["Cache-Control"]
        assert b"csrfmiddlewaretoken" in shown.content


def test_a_guest_enters_by_a_name(client: Client) -> None:
    entered = enter("Ann", client)
    assert (entered.status_code, entered["Location"]) == (302, "/")
    guest = User.objects.get()
    assert me(client) == guest
    assert (guest.name, guest.username, guest.is_guest, guest.is_staff) == ("Ann", "ann", True, False)
    assert not guest.has_usable_password()
    assert guest.created_from == "127.0.0.1"


def test_new_people_find_themselves_in_the_lobby(member: User) -> None:
    rooms.create(member.pk, "Lobby", "", "lobby")
    enter("Bob")
    sign_up("Cid")
    assert set(Membership.objects.values_list("user__name", flat=True)) == {"Ann Lee", "Bob", "Cid"}


def test_without_a_lobby_people_come_in_all_the_same() -> None:
    assert enter("Bob").status_code == 302


def test_who_is_in_already_is_led_on(client: Client) -> None:
    enter("Ann", client)
    assert client.get(GUEST)["Location"] == "/"
    assert client.get(GUEST, {"next": "/rooms/lobby/"})["Location"] == "/rooms/lobby/"
    assert enter("Bob", client)["Location"] == "/"
    assert User.objects.count() == 1


def test_a_guest_cannot_log_in_with_any_password(client: Client) -> None:
    enter("Ann")
    for password in ("", "!", "None", User.objects.get().password):
        assert client.post(LOGIN, {"username": "Ann", "password": password}).status_code == 200
    assert me(client) is None


# Names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Ann", "Ann"),
        ("  Ann \t  Lee ", "Ann Lee"),
        ("\u3000Ａｎｎ\u2003Ｌｅｅ", "Ann Lee"),
        ("ﬁn", "fin"),
        ("e\u0301va", "\u00e9va"),
        ("Łukasz Ñandú 李雷", "Łukasz Ñandú 李雷"),
        ("Nguyễn Văn", "Nguyễn Văn"),
        ("שלום", "שלום"),
        ("สมชาย", "สมชาย"),
        ("O'Brien-Smith (ops) <dev>", "O'Brien-Smith (ops) <dev>"),
        ("Ann ❤️", "Ann ❤️"),
        ("👩‍🚀 Ada", "👩‍🚀 Ada"),
        ("👩🏽‍🚀", "👩🏽‍🚀"),
        ("👨‍👩‍👧", "👨‍👩‍👧"),
        ("🏳️‍🌈", "🏳️‍🌈"),
        ("🇩🇪", "🇩🇪"),
        ("x" * 40, "x" * 40),
    ],
)
def test_a_name_is_shown_in_one_tidy_spelling(typed: str, shown: str) -> None:
    assert enter(typed).status_code == 302
    assert User.objects.get().name == shown


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\u2003\u3000",
        "\u200b",
        "An\u200bn",  # zero-width space
        "Ann\u200d",  # zero-width joiner
        "A\u200dnn",
        "\u200dAnn",
        "👩\u200d",
        "👩\u200d\u200d🚀",
        "👩\u200dA",
        "A\ufe0fnn",
        "❤\ufe0f\ufe0f",
        "❤\ufe0e",
        "Ann\u202enimda",  # right to left from here
        "\u2066Ann\u2069",
        "\u200eAnn",
        "Ann\u00ad",  # soft hyphen
        "Ann\ufeff",
        "Ann\u2060",
        "Ann\u0000",
        "Ann\u0007",
        "Ann\u001b[31m",
        "Ann\u009b",
        "Ann\ue000",  # private use
        "Ann\U000e0041",  # tag
        "Ann\U000e0100",  # variation selector
        "Ann\u0378",  # unassigned
        "Ann\uffff",
        "\u3164",  # Hangul filler
        "\u115f\u1160",
        "\uffa0",
        "\u2800",  # braille blank
        "Ann\u034f",
        "Ann\u180e",
        "\u0301nn",  # an accent on nothing
        "\u00a8",  # becomes one
        "x" * 41,
        "\ufdfa" * 3,  # becomes 54 characters
        "\ufdfa" * 100_000,
    ],
)
def test_a_name_that_is_empty_long_or_partly_invisible_is_refused(name: str) -> None:
    refused = enter(name)
    assert refused.status_code == 422
    assert errors(refused)
    assert not User.objects.exists()


def test_what_is_wrong_with_a_name_is_said_clearly() -> None:
    assert errors(enter(" ")) == "Please write a name."
    assert errors(enter("An\u200bn")) == "Invisible and control characters cannot be used here."
    assert "at most 40 characters" in errors(enter("x" * 41))
    assert "at most 40 characters" in errors(enter("x" * 100_000))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Ann", "Ann"),
        ("Ann", "ANN"),
        ("Ann Lee", "ann   lee"),
        ("Ann", "Ａｎｎ"),
        ("Strauß", "STRAUSS"),
        ("ﬁn", "FIN"),
        ("\u00e9va", "E\u0301VA"),
        ("ΣΑΣ", "σας"),
        ("K", "\u212a"),  # the sign for kelvin
        ("①", "1"),
        ("Ann ❤", "Ann ❤️"),
        ("👩🚀", "👩‍🚀"),
    ],
)
def test_two_people_cannot_look_alike(first: str, second: str) -> None:
    assert enter(first).status_code == 302
    for refused in (enter(second), sign_up(second)):
        assert refused.status_code == 422
        assert errors(refused) == TAKEN
    assert User.objects.count() == 1


def test_a_username_is_a_fixed_point() -> None:
    for name in ("Strauß", "ΣΑΣ", "İstanbul", "ﬁn", "👩‍🚀", "Ａ"):
        once = User.normalize_username(name)
        assert User.normalize_username(once) == once


def test_an_optional_line_may_be_empty() -> None:
    assert LineField(required=False, max_length=10).clean("  ") == ""


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_a_name_at_once_one_is_told() -> None:
    line, answers = threading.Barrier(4), []

    def come_in(name: str) -> None:
        line.wait()
        answers.append(enter(name))
        connections.close_all()

    crowd = [threading.Thread(target=come_in, args=[name]) for name in ("Ann", "ann", "ANN", "Ａnn")]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert sorted(answer.status_code for answer in answers) == [302, 422, 422, 422]
    assert {errors(answer) for answer in answers if answer.status_code == 422} == {TAKEN}
    assert User.objects.count() == 1


# Signing up -----------------------------------------------------------------------------------------------------


def test_signing_up_makes_an_account_and_logs_in(client: Client) -> None:
    assert sign_up("Ann", client)["Location"] == "/"
    person = User.objects.get()
    assert me(client) == person
    assert not person.is_guest
    assert person.check_password(PASSWORD)
    assert person.created_from == "127.0.0.1"


def test_a_guest_who_signs_up_keeps_the_account(client: Client) -> None:
    enter("Ann", client)
    guest, key = User.objects.get(), key_of(client)
    assert client.get(SIGNUP).context["form"]["name"].value() == "Ann"
    assert sign_up("Ann", client).status_code == 302
    person = User.objects.get()
    assert (person.pk, person.is_guest, person.name) == (guest.pk, False, "Ann")
    assert me(client) == person
    assert key_of(client) != key
    assert Client().post(LOGIN, {"username": "ann", "password": PASSWORD}).status_code == 302


def test_a_guest_may_change_the_name_when_signing_up_but_not_to_one_that_is_taken(client: Client) -> None:
    enter("Bob")
    enter("Ann", client)
    refused = sign_up("BOB", client)
    assert (refused.status_code, errors(refused)) == (422, TAKEN)
    assert "Ann" in refused.content.decode()  # the page still knows who asks
    assert set(User.objects.values_list("name", "is_guest")) == {("Ann", True), ("Bob", True)}
    assert sign_up("Anna", client).status_code == 302
    assert set(User.objects.values_list("name", "username", "is_guest")) == {
        ("Anna", "anna", False),
        ("Bob", "bob", True),
    }


def test_the_old_session_of_a_guest_ends_with_the_sign_up(client: Client) -> None:
    enter("Ann", client)
    stolen = Client()
    stolen.cookies["sessionid"] = key_of(client)
    sign_up("Ann", client)
    assert stolen.get("/")["Location"].startswith(GUEST)


def test_a_guest_who_is_shut_out_while_signing_up_stays_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    enter("Ann", client)
    set_password = User.set_password

    def slow(person: User, password: str) -> None:
        User.objects.update(is_active=False)
        set_password(person, password)

    monkeypatch.setattr(User, "set_password", slow)
    sign_up("Ann", client)
    assert not User.objects.get().is_active
    assert client.get("/")["Location"].startswith(GUEST)


def test_who_has_an_account_does_not_sign_up_again(client: Client, member: User) -> None:
    client.force_login(member, "django.contrib.auth.backends.ModelBackend")
    assert client.get(SIGNUP)["Location"] == "/"
    assert sign_up("Other", client).status_code == 302
    assert list(User.objects.values_list("name", flat=True)) == ["Ann Lee"]


@pytest.mark.parametrize(
    ("password", "again", "complaint"),
    [
        ("short", "short", "too short"),
        ("password1", "password1", "too common"),
        ("anne-of-green", "anne-of-green", "too similar"),
        (PASSWORD, PASSWORD + "!", "differ"),
        (PASSWORD, "", "required"),
        ("", "", "required"),
    ],
)
def test_a_weak_or_misspelt_password_is_refused(password: str, again: str, complaint: str) -> None:
    refused = sign_up("anne-of-green-gables", password=password, again=again)
    assert refused.status_code == 422
    assert complaint in errors(refused)
    assert not User.objects.exists()


def test_nobody_becomes_staff_by_what_a_form_brings(client: Client) -> None:
    more = {
        "is_staff": "1",
        "is_superuser": "1",
        "is_guest": "",
        "id": "1",
        "created_from": "1.2.3.4",
        "username": "root",
    }
    client.post(GUEST, {"name": "Ann", **more})
    client.post(SIGNUP, {"name": "Ann", "password1": PASSWORD, "password2": PASSWORD, **more})
    person = User.objects.get()
    assert (person.is_staff, person.is_superuser, person.username) == (False, False, "ann")
    assert person.created_from == "127.0.0.1"


# Logging in and out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["Ann Lee", "ANN LEE", " ann  lee ", "Ａnn Lee"])
def test_any_spelling_of_the_name_logs_in(client: Client, member: User, spelling: str) -> None:
    assert client.post(LOGIN, {"username": spelling, "password": PASSWORD})["Location"] == "/"
    assert me(client) == member


def test_the_password_has_one_spelling(client: Client, member: User) -> None:
    assert client.post(LOGIN, {"username": "ann lee", "password": PASSWORD.upper()}).status_code == 200
    assert me(client) is None


def test_a_guest_may_log_in_as_somebody_else_and_a_member_has_no_need_to(client: Client, member: User) -> None:
    enter("Bob", client)
    assert client.get(LOGIN).status_code == 200
    client.post(LOGIN, {"username": "ann lee", "password": PASSWORD})
    assert me(client) == member
    assert client.get(LOGIN)["Location"] == "/"
    assert client.get(LOGIN, {"next": LOGIN})["Location"] == "/"


def test_logging_out_ends_the_session(client: Client) -> None:
    enter("Ann", client)
    key = key_of(client)
    assert client.get(LOGOUT).status_code == 405
    assert client.post(LOGOUT)["Location"] == "/"
    assert not client.session.exists(key)
    assert client.get("/")["Location"] == f"{GUEST}?next=/"


def test_a_deactivated_person_is_out_at_once(client: Client, member: User) -> None:
    client.post(LOGIN, {"username": "ann lee", "password": PASSWORD})
    User.objects.update(is_active=False)
    assert client.get("/").status_code == 302
    assert Client().post(LOGIN, {"username": "ann lee", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("way", [GUEST, SIGNUP, LOGIN])
def test_a_session_that_was_planted_is_not_the_one_that_is_logged_in(way: str, member: User) -> None:
    planted = Client().session
    planted["planted"] = "1"
    planted.save()
    key = str(planted.session_key)
    victim, thief = Client(), Client()
    victim.cookies["sessionid"] = thief.cookies["sessionid"] = key
    form = {"name": "Eve", "password1": PASSWORD, "password2": PASSWORD, "username": "ann lee", "password": PASSWORD}
    assert victim.post(way, form).status_code == 302
    assert key_of(victim) != key
    assert victim.cookies["sessionid"]["httponly"]
    assert thief.get("/")["Location"].startswith(GUEST)


@pytest.mark.parametrize("page", [GUEST, SIGNUP, LOGIN, LOGOUT, "/rooms/", "/rooms/lobby/join/", "/rooms/lobby/leave/"])
def test_a_form_from_elsewhere_is_refused(page: str, member: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(member, "django.contrib.auth.backends.ModelBackend")
    assert strict.post(page, {"name": "Eve", "username": "ann lee", "password": PASSWORD}).status_code == 403
    assert list(User.objects.values_list("name", flat=True)) == ["Ann Lee"]


def test_our_own_form_passes_the_strict_guard() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.get(GUEST)
    token = strict.cookies["csrftoken"].value
    assert strict.post(GUEST, {"name": "Ann", "csrfmiddlewaretoken": token}).status_code == 302


# Where one goes next --------------------------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example/",
    "http://evil.example",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "https:evil.example",
    "https:///evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "http://testserver@evil.example/",
    "http://testserver.evil.example/",
    "http://[::1",
    "\x01//evil.example",
    " //evil.example",
    "ftp://testserver/",
]


def test_the_name_of_a_url_is_no_address(client: Client, member: User) -> None:
    client.force_login(member, "django.contrib.auth.backends.ModelBackend")
    assert client.get(GUEST, {"next": "room"})["Location"] == "room"


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_next_never_leads_elsewhere(elsewhere: str, member: User) -> None:
    forms = [
        (GUEST, {"name": "Bob"}),
        (SIGNUP, {"name": "Cid", "password1": PASSWORD, "password2": PASSWORD}),
        (LOGIN, {"username": "ann lee", "password": PASSWORD}),
    ]
    for page, form in forms:
        assert Client().get(page, {"next": elsewhere}).context["next"] == ""
        client = Client()
        assert client.post(page, form | {"next": elsewhere})["Location"] == "/"
        assert client.get(GUEST, {"next": elsewhere})["Location"] == "/"
        assert client.post(LOGOUT, {"next": elsewhere})["Location"] == "/"
        User.objects.exclude(pk=member.pk).delete()


@pytest.mark.parametrize("page", ["/rooms/lobby/", "/rooms/%C3%BC/?a=b", "http://testserver/rooms/x/"])
def test_next_leads_to_our_own_pages(page: str, member: User) -> None:
    assert enter("Bob").status_code == 302
    assert Client().get(GUEST, {"next": page}).context["next"] == page
    assert Client().post(GUEST, {"name": "Cid", "next": page})["Location"] == page
    assert Client().post(f"{LOGIN}?next={page}", {"username": "ann lee", "password": PASSWORD})["Location"] == page


def test_the_way_in_never_leads_round_in_a_circle(client: Client) -> None:
    enter("Ann", client)
    assert client.get(GUEST, {"next": GUEST})["Location"] == "/"
    assert client.get(GUEST, {"next": f"{GUEST}?next={GUEST}"})["Location"] == "/"


# Limits ---------------------------------------------------------------------------------------------------------


def test_an_address_brings_so_many_people_in_an_hour_and_no_more(settings: Any) -> None:
    settings.GUESTS_PER_ADDRESS = 3
    assert [enter("a").status_code, sign_up("b").status_code, enter("c").status_code] == [302, 302, 302]
    for refused in (enter("d"), sign_up("d"), enter("d", headers={"x-forwarded-for": "9.9.9.9"})):
        assert refused.status_code == 429
        assert "try again" in errors(refused)
        assert "_auth_user_id" not in refused.client.session
    assert enter("d", REMOTE_ADDR="10.0.0.9").status_code == 302
    User.objects.filter(name="a").update(date_joined=timezone.now() - timedelta(minutes=61))
    assert enter("e").status_code == 302


def test_a_name_that_is_refused_anyway_does_not_count(settings: Any) -> None:
    settings.GUESTS_PER_ADDRESS = 2
    enter("a")
    for _ in range(5):
        enter("a")
    assert enter("b").status_code == 302


def test_a_guest_signs_up_though_the_address_is_full(settings: Any, client: Client) -> None:
    settings.GUESTS_PER_ADDRESS = 1
    enter("a", client)
    assert sign_up("a", client).status_code == 302


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", None),
        ("unix:", None),
    ],
)
def test_an_address_is_the_socket_s_and_a_household_is_one(peer: str, address: str | None) -> None:
    headers = {"x-forwarded-for": "9.9.9.9", "x-real-ip": "9.9.9.9", "forwarded": "for=9.9.9.9"}
    assert address_of(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)) == address


def test_no_header_says_where_a_person_comes_from() -> None:
    enter("Ann", headers={"x-forwarded-for": "9.9.9.9", "x-real-ip": "9.9.9.9", "client-ip": "9.9.9.9"})
    assert User.objects.get().created_from == "127.0.0.1"


def test_without_an_address_people_come_in_and_are_counted_together(settings: Any) -> None:
    settings.GUESTS_PER_ADDRESS = 1
    assert enter("Ann", REMOTE_ADDR="").status_code == 302
    assert enter("Bob", REMOTE_ADDR="").status_code == 429


# Wrong passwords ------------------------------------------------------------------------------------------------


@pytest.fixture
def three_tries(settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3


def guess(password: str = "wrong", name: str = "ann lee", client: Client | None = None, **extra: Any) -> Any:
    return (client or Client()).post(LOGIN, {"username": name, "password": password}, **extra)


@pytest.mark.usefixtures("three_tries")
def test_after_too_many_wrong_passwords_there_is_a_pause(client: Client, member: User) -> None:
    assert [guess().status_code for _ in range(3)] == [200, 200, 429]
    locked = guess(PASSWORD, client=client)
    assert locked.status_code == 429
    assert "chat/locked.html" in [template.name for template in locked.templates]
    assert "15 minutes" in locked.content.decode()
    assert me(client) is None


@pytest.mark.usefixtures("three_tries")
def test_spellings_browsers_and_headers_do_not_help_a_guesser(member: User) -> None:
    guess(name="ANN LEE")
    guess(name="Ａnn  lee", headers={"user-agent": "another"})
    guess(headers={"x-forwarded-for": "9.9.9.9"})
    for headers in ({}, {"x-forwarded-for": "8.8.8.8", "x-real-ip": "8.8.8.8"}, {"user-agent": "a third"}):
        assert guess(PASSWORD, headers=headers).status_code == 429


@pytest.mark.usefixtures("three_tries")
def test_a_pause_is_for_an_address_whatever_the_names_that_were_tried(member: User) -> None:
    User.objects.create_user("Bob", password=PASSWORD)
    for name in ("ann lee", "bob", "nobody"):
        guess(name=name)
    assert guess(PASSWORD, name="bob").status_code == 429
    assert guess(PASSWORD, REMOTE_ADDR="10.0.0.9").status_code == 302
    assert enter("Cid").status_code == 302


@pytest.mark.usefixtures("three_tries")
def test_a_household_is_one_guesser(member: User) -> None:
    for host in range(3):
        guess(REMOTE_ADDR=f"2001:db8:1:2::{host}")
    assert guess(PASSWORD, REMOTE_ADDR="2001:db8:1:2::9").status_code == 429
    assert guess(PASSWORD, REMOTE_ADDR="2001:db8:1:3::9").status_code == 302


@pytest.mark.usefixtures("three_tries")
def test_the_pause_ends_even_for_who_keeps_trying_and_nothing_piles_up(member: User) -> None:
    for _ in range(20):
        guess()
    attempt = AccessAttempt.objects.get()
    assert attempt.failures_since_start == 3
    assert PASSWORD not in attempt.post_data
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert guess(PASSWORD).status_code == 302


@pytest.mark.usefixtures("three_tries")
def test_an_account_of_ones_own_buys_no_more_guesses(member: User) -> None:
    User.objects.create_user("Mallory", password=PASSWORD)
    guess()
    guess()
    assert guess(PASSWORD, name="mallory").status_code == 302
    guess()
    assert guess(PASSWORD).status_code == 429


@pytest.mark.usefixtures("three_tries")
def test_the_administration_pauses_too(client: Client) -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    login = reverse("admin:login")
    tries = [client.post(login, {"username": "root", "password": "wrong"}).status_code for _ in range(4)]
    assert tries == [200, 200, 429, 429]
    assert client.post(login, {"username": "root", "password": PASSWORD}).status_code == 429


@pytest.mark.usefixtures("three_tries")
@pytest.mark.django_db(transaction=True)
async def test_the_pause_is_the_same_under_asgi() -> None:
    await User.objects.acreate(name="Ann", username="ann", password="md5$salt$0")
    client = AsyncClient()
    tries = [await client.post(LOGIN, {"username": "Ann", "password": "wrong"}) for _ in range(4)]
    assert [answer.status_code for answer in tries] == [200, 200, 429, 429]
    assert "15 minutes" in tries[-1].content.decode()
    await sync_to_async(connections.close_all)()  # the thread's own: PostgreSQL would not drop the database


@pytest.mark.parametrize("name", ["x" * 151, "\0", "\u200b", "' OR 1=1 --", "😀" * 150])
def test_odd_names_at_the_log_in_are_only_wrong(name: str) -> None:
    assert guess(name=name).status_code == 200
