"""Outbound clients in the admin: who may do what, what nobody sees who may only look, and what a form refuses."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db.models.functions import Now
from django.test import Client

from actors.models import OutboundClient
from tests.actors import inside

LIST = "/admin/actors/outboundclient/"
SECRET = "wss://ann:geheim@example.org/feed?token=streng"
FORM = {"name": "new", "url": "wss://example.org/feed", "out_stream_from": ["news"], "actor": ""}

pytestmark = pytest.mark.django_db


def staff(name: str, *permissions: str) -> Client:
    person: Any = get_user_model().objects.create_user(name, is_staff=True, is_superuser=name == "boss")
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="actors"))
    client = Client()
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")
    return client


def make(**fields: Any) -> OutboundClient:
    return OutboundClient.objects.create(**{"name": "feed", "url": SECRET, "out_stream_from": ["news"], **fields})


def page(client: Client, row: OutboundClient | None = None) -> str:
    answer = client.get(LIST if row is None else f"{LIST}{row.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_who_may_only_look_sees_no_secret_and_no_button() -> None:
    row = make(last_error="closed with 4000 not now")
    viewer = staff("viewer", "view_outboundclient")
    for text in (page(viewer), page(viewer, row), viewer.get(LIST, {"q": "feed"}).content.decode()):
        assert "wss://…@example.org/feed?token=…" in text
        for hidden in ("geheim", "streng", "/admin/orders/", "Start…", "delete", 'name="url"'):
            assert hidden not in text, hidden
    assert "closed with 4000 not now" in page(viewer, row)
    found = viewer.get(LIST, {"q": "geheim"}).context["cl"].result_list
    assert list(found) == [], "a search does not tell either"
    for path in (f"{LIST}add/", f"{LIST}{row.pk}/delete/", "/admin/orders/start-client/"):
        assert viewer.get(path).status_code == 403
    assert viewer.post(f"{LIST}{row.pk}/change/", {**FORM, "name": "forged"}).status_code == 403
    assert staff("nobody").get(LIST).status_code == 403
    assert "Outbound" in page(viewer)


def test_who_may_change_sees_the_url_and_a_change_begins_anew() -> None:
    row = make(cursors={"news": [7, "e"]}, messages_out=5)
    editor = staff("editor", "view_outboundclient", "change_outboundclient")
    assert "streng" in page(editor, row)
    assert "streng" not in page(editor), "a list is read over shoulders"
    OutboundClient.objects.filter(pk=row.pk).update(messages_out=9)  # as its holder does meanwhile
    answer = editor.post(f"{LIST}{row.pk}/change/", {**FORM, "name": "feed", "url": SECRET})
    assert answer.status_code == 302
    row.refresh_from_db()
    assert (row.version, row.cursors, row.messages_out) == (2, {"news": [7, "e"]}, 9)
    editor.post(f"{LIST}{row.pk}/change/", {**FORM, "name": "feed", "url": "wss://elsewhere.example/"})
    row.refresh_from_db()
    assert (row.version, row.cursors, row.url) == (3, {}, "wss://elsewhere.example/")
    assert all("streng" not in str(entry.get_change_message()) for entry in LogEntry.objects.all())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "https://example.org/"}, "scheme isn&#x27;t ws or wss"),
        ({"url": "ws://127.0.0.1/"}, "a loopback address"),
        ({"url": "ws://2852039166/"}, "a link-local address"),
        ({"url": "ws://[::ffff:10.0.0.1]/"}, "a private address"),
        ({"out_stream_from": []}, "nothing could ever pass"),
        ({"in_stream_into": ["news"]}, "what came would be sent back"),
        ({"in_stream_into": ["presence"]}, "Select a valid choice"),
        ({"in_stream_into": ["control:x"]}, "Select a valid choice"),
        ({"actor": "no.such"}, "Select a valid choice"),
    ],
    ids=["scheme", "loopback", "decimal", "mapped", "nothing", "circle", "presence", "control", "actor"],
)
def test_a_form_refuses_what_cannot_work(fields: dict[str, Any], why: str) -> None:
    answer = staff("boss").post(f"{LIST}add/", {**FORM, **fields})
    assert answer.status_code == 200
    assert why in answer.content.decode()
    assert not OutboundClient.objects.exists()


def test_ssrf_a_form_refuses_every_way_to_write_an_inside_address() -> None:
    boss = staff("boss")
    for host in inside.NUMBERS:
        answer = boss.post(f"{LIST}add/", {**FORM, "url": f"ws://{host}/"})
        assert answer.status_code == 200, host
        assert "OUTBOUND_ALLOW does not name it" in answer.content.decode(), host
    for host in ("example..org", f"{'a' * 64}.org"):
        assert "is no name of a host." in boss.post(f"{LIST}add/", {**FORM, "url": f"ws://{host}/"}).content.decode()
    assert not OutboundClient.objects.exists()


def test_ssrf_what_a_form_cannot_judge_the_look_up_does() -> None:
    """A name may lead elsewhere by the time of the connection: it is judged then, each time anew."""
    boss = staff("boss")
    for number, host in enumerate([*inside.NAMES, *inside.NOWHERE]):
        answer = boss.post(f"{LIST}add/", {**FORM, "name": f"n{number}", "url": f"ws://{host}/"})
        assert answer.status_code == 302, answer.content.decode()


def test_one_is_made_started_stopped_and_that_is_recorded() -> None:
    boss = staff("boss")
    assert boss.post(f"{LIST}add/", FORM).status_code == 302
    row = OutboundClient.objects.get()
    assert (row.is_wanted, row.out_stream_from) == (False, ["news"])
    assert "Stopped." in page(boss, row)

    def order(name: str) -> str:
        form = {"confirmed": 1, "targets": row.pk, "why": "a test asks"}
        return boss.post(f"/admin/orders/{name}/", form, follow=True).content.decode()

    assert "new is to connect." in order("start-client")
    assert "new is started already." in order("start-client")
    row.refresh_from_db()
    assert row.is_wanted
    assert "Nobody runs it" in page(boss, row)
    assert "new tries again." in order("again-client")
    assert "new is to close." in order("stop-client")
    assert "new is stopped already." in order("stop-client")
    said = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert said[1:] == [f"{what}. Why: a test asks" for what in ("Started", "Tried again", "Stopped")]


def test_orders_are_for_who_may_steer() -> None:
    row = make()
    steersman = staff("steersman", "view_outboundclient", "steer_outboundclient")
    assert "Start…" in page(steersman, row)
    assert "geheim" not in page(steersman, row)
    answer = steersman.post("/admin/orders/start-client/", {"confirmed": 1, "targets": row.pk, "why": "now"})
    assert answer.status_code == 302
    row.refresh_from_db()
    assert row.is_wanted
    assert steersman.get(f"{LIST}{row.pk}/start", follow=True).status_code == 200


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "connected", "connected_at": Now()}, "Connected for "),
        ({"status": "waiting", "next_attempt_at": Now()}, "Not connected: again in "),
        ({"status": "refused"}, "It cannot be run as it is."),
        ({"status": "connected", "is_wanted": False}, "Closing …"),
    ],
    ids=["connected", "waiting", "refused", "stopping"],
)
def test_how_it_goes_is_said(fields: dict[str, Any], said: str) -> None:
    from datetime import timedelta

    row = make(**{"is_wanted": True, "holder": "h", "held_by": "here · 7", **fields})
    OutboundClient.objects.filter(pk=row.pk).update(held_until=Now() + timedelta(hours=1))
    text = page(staff("boss"), row)
    assert said in text
    assert "Run by here · 7." in text


def test_a_list_costs_the_same_however_many_there_are(django_assert_max_num_queries: Any) -> None:
    OutboundClient.objects.bulk_create(OutboundClient(name=f"feed {number}", url=SECRET) for number in range(150))
    boss = staff("boss")
    with django_assert_max_num_queries(10):
        assert page(boss).count('name="_selected_action"') == 100
