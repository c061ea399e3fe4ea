"""What somebody writes who means harm: markup in every text that staff are shown, and addresses that nobody meant."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, models
from django.test import Client

from realtime_project.models import Connection
from tests.admin_panel.rights import doors

pytestmark = pytest.mark.django_db

MARKUP = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"
SOUGHT = [
    "' OR 1=1; DROP TABLE chat_user; --", '" OR ""="', "%", "_", "\\", "a " * 5_000, "x" * 15_000, "'", '"a', "-1",
    "🐌\u202e", "9" * 5_000, "<script>", "*", "../../etc/passwd",
]  # fmt: skip
ASKED = [
    {"o": "99.-99.x"}, {"p": "9" * 30}, {"p": "-1"}, {"p": "x"}, {"server__id__exact": "' OR 1=1"}, {"mode": MARKUP},
    {"user__password__startswith": "pbkdf2"}, {"user__is_superuser__exact": "1"}, {"server__figures__x": "1"},
    {"id__in": "1,x"}, {"pk": "9" * 30}, {"e": "1"}, {"all": ""}, {"_popup": "1"}, {"_to_field": "password"},
    {"unsent": MARKUP}, {"person": MARKUP}, {"action_time__gte": "x"}, {"endpoint": MARKUP}, {"since": "9" * 30},
    {"recording__user__password__startswith": "p"}, {"by__password__startswith": "p"}, {"nonsense": "1"},
]  # fmt: skip
LISTS = [
    "realtime_project/server", "realtime_project/connection", "admin_panel/actor", "realtime_project/topichead",
    "realtime_project/ban", "admin/logentry", "actors/outboundclient", "actors/recording", "actors/step",
]  # fmt: skip
KEYS = ["²", "9" * 30, "9" * 5_000, "-1", "x" * 10_000, "' OR 1=1", "%", "a/b", "..", "\n", "1.5", "None", "🐌"]


@pytest.mark.parametrize("name", LISTS)
def test_whatever_is_looked_for_a_list_answers(rows: Any, enter: Callable[[str], Client], name: str) -> None:
    boss = enter("boss")
    for asked in [*({"q": each} for each in SOUGHT), *ASKED]:
        answer = boss.get(f"/admin/{name}/", asked)
        assert answer.status_code in (200, 302, 400), asked
        if any("password" in key for key in asked if key != "_to_field"):
            assert answer.status_code in (302, 400), "no list is searched by what nobody may see"
    assert Connection.objects.count() == 1


def test_a_sign_of_a_pattern_is_a_sign(rows: Any, enter: Callable[[str], Client]) -> None:
    boss = enter("boss")
    for sought in ("%", "_", "\\", ".*"):
        found = boss.get("/admin/realtime_project/connection/", {"q": sought}).context["cl"].result_list
        assert [row for row in found if sought not in row.path] == []


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key[:12]))
def test_what_is_no_key_is_not_there(rows: Any, enter: Callable[[str], Client], key: str) -> None:
    boss = enter("boss")
    wrong = []
    for door in doors(dict.fromkeys(rows, "KEY")):
        if "/KEY/" not in door.url:
            continue
        url = door.url.replace("KEY", key)
        for answer in (boss.get(url), boss.post(url, {"post": "yes"})):
            if answer.status_code not in (200, 302, 400, 403, 404, 405):
                wrong.append((answer.status_code, door.url))
    for door in doors(rows):
        if door.url.startswith("/admin/orders/"):
            form = {"confirmed": "1", "targets": f"{key},{key}", "why": "x", "code": key, "hours": key, "topic": key}
            for answer in (boss.get(door.url, form), boss.post(door.url, form)):
                if answer.status_code not in (200, 302):
                    wrong.append((answer.status_code, door.url))
    assert not wrong, "\n".join(map(str, wrong))


def test_an_address_with_a_nul_is_none(rows: Any, enter: Callable[[str], Client]) -> None:
    boss = enter("boss")
    for path in ("/admin/realtime_project/connection/%00/change/", "/admin/actors/recording/?q=%00"):
        assert boss.get(path).status_code == 400, path
    for order in ("close", "lift", "start-client"):
        answer = boss.post(f"/admin/orders/{order}/", {"confirmed": "1", "targets": "\0", "why": "\0", "back": "\0"})
        assert answer.status_code == 302, "there is nothing left to do"
    said = {"confirmed": "1", "topic": "news", "content": "\0", "why": "\0"}
    assert "Null characters are not allowed" in boss.post("/admin/orders/publish/", said).content.decode()


def test_no_text_of_anybody_is_markup(rows: Any, enter: Callable[[str], Client]) -> None:
    """Every text of every row that has one is markup, and every page is looked at."""
    boss = enter("boss")
    for name, key in rows.items():
        app, model = name.split("/")
        kind: Any = django_model(app, model)
        texts = {
            field.attname: MARKUP[: field.max_length or 500]
            for field in kind._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField)
            and not (field.primary_key or field.unique or field.choices)
            and field.name not in ("endpoints", "mode", "kind", "slug", "told", "was", "became", "effects", "password")
            and field.name != "change_message"
        }
        if texts:
            kind._default_manager.filter(pk=key).update(**texts)
    with connection.cursor() as cursor:  # what is unique, too
        cursor.execute("UPDATE chat_user SET name = %s, username = %s WHERE username = 'ann'", [MARKUP, MARKUP])
        cursor.execute("UPDATE realtime_project_topichead SET name = %s WHERE name = 'news'", [MARKUP])
    wrong, shown = [], 0
    for door in doors(rows):
        for asked in ({}, {"q": MARKUP, "s": MARKUP}, {"back": f"/admin/{MARKUP}", "person": MARKUP, "why": MARKUP}):
            text = boss.get(door.url, asked).content.decode(errors="replace")
            shown += "&lt;script&gt;alert(1)" in text
            if "<script>alert(1)" in text or "<img src=x" in text:
                wrong.append((door.url, asked))
    assert shown > 50, "it stands there, as text"
    assert not wrong, "\n".join(map(str, wrong))


def django_model(app: str, model: str) -> Any:
    from django.apps import apps

    return apps.get_model(app, model)


@pytest.mark.parametrize(
    "back",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http:///evil.example",
     " //evil.example", "\t//evil.example", "https:evil.example"],
)  # fmt: skip
def test_an_order_leads_to_no_other_site(rows: Any, enter: Callable[[str], Client], back: str) -> None:
    boss = enter("boss")
    form = {"targets": rows["realtime_project/connection"], "back": back, "code": "4410", "reason": "", "why": "x"}
    assert f'href="{back}"' not in boss.get("/admin/orders/close/", form).content.decode()
    answer = boss.post("/admin/orders/close/", {**form, "confirmed": "1"})
    assert answer.headers["Location"] == "/admin/realtime_project/connection/"
    answer = Client().post("/admin/login/?next=" + back, {"username": "boss", "password": "x", "next": back})
    assert "evil" not in answer.headers.get("Location", "")
