"""Everybody at every door: each page of the admin, each order and each socket × each kind of person.

What has no rule in rights.py fails, so that nobody adds a page without saying who may see it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime_project import routing
from realtime_project.actions import collect
from tests.admin_panel.conftest import STAFF as HIRED
from tests.admin_panel.rights import (
    ANYBODY,
    FORM,
    LISTS,
    PEOPLE,
    SOCKETS,
    STAFF,
    STEERING,
    Door,
    doors,
    wanted,
)
from tests.admin_panel.test_orders import client_id, stays
from tests.helpers import Server as Running
from tests.helpers import connect, guest

pytestmark = pytest.mark.django_db


def among(people: Iterable[str]) -> list[Any]:
    """Those with one permission take minutes together: `make soak` asks all of them. test_orders has their orders."""
    return [pytest.param(who, marks=pytest.mark.soak) if "." in who else who for who in people]


def everything() -> dict[str, list[Any]]:
    """All rows but those of log-ins."""
    kept = [model for app in ("realtime_project", "actors", "chat", "auth", "admin", "axes")
            for model in apps.get_app_config(app).get_models()]  # fmt: skip
    return {model._meta.label: sorted(map(str, model._default_manager.values())) for model in kept}


def verdict(answer: Any, door: Door, want: str) -> str:
    """405: nobody can ask in this way, whoever they are among staff."""
    location = answer.headers.get("Location", "")
    if answer.status_code == 302 and location.startswith("/admin/login/"):
        return "asked to log in"
    if answer.status_code == door.missing:
        return "refused"
    if answer.status_code == 405 and want != "asked to log in":
        return want
    return "let in" if answer.status_code in (200, 302, 404) else f"answered {answer.status_code}"


# what is tested -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", among(PEOPLE))
def test_every_page_and_every_order_is_for_who_may(
    rows: dict[str, Any], enter: Callable[[str], Client], who: str
) -> None:
    at, wrong = enter(who), []
    before = everything()
    for door in doors(rows):
        if door.get == (ANYBODY,):
            continue
        want = wanted(who, door.get)
        if (found := verdict(at.get(door.url), door, want)) != want:
            wrong.append(f"GET {door.url}: {found}, not {want}")
        if (want := wanted(who, door.post)) == "let in":
            continue
        form = {**FORM, "targets": _target(door.url, rows), "action": "delete_selected", "_selected_action": "1"}
        if (found := verdict(at.post(door.url, form), door, want)) != want:
            wrong.append(f"POST {door.url}: {found}, not {want}")
    assert not wrong, "\n".join(map(str, wrong))
    assert everything() == before, "who is refused has changed nothing"


def _target(url: str, rows: dict[str, Any]) -> str:
    name = url.split("/")[-2]
    order = collect().get(name)
    if order is None or order.targets is None:
        return ""
    model = get_user_model() if order.targets == "user" else order.targets
    return str(rows[f"{model._meta.app_label}/{model._meta.model_name}"])


@pytest.mark.parametrize(
    "who",
    among(["nothing", "demoted", "boss", "viewer", *(f"viewer {who}" for who in STEERING),
           *(who for who in PEOPLE if ".view_" in who)]),
)  # fmt: skip
def test_no_link_and_no_button_leads_where_one_may_not_go(
    rows: dict[str, Any], enter: Callable[[str], Client], who: str
) -> None:
    """So who may only look sees no button at all."""
    at, wrong = enter(who), set()
    known = {door.url: door for door in doors(rows)}
    for door in known.values():
        if ANYBODY in door.get or wanted(who, door.get) != "let in":
            continue
        if who.startswith("viewer ") and door.url.startswith(("/admin/chat/", "/admin/auth/", "/admin/axes/")):
            continue
        answer = at.get(door.url)
        if answer.status_code != 200:
            continue
        text = answer.content.decode()
        for link in {link.partition("?")[0] for link in re.findall(r'(?:href|action)="(/admin/[^"#]*)', text)}:
            if link in known and known[link].get != (ANYBODY,) and wanted(who, known[link].get) != "let in":
                wrong.add(f"{door.url} has {link}")
        name = "/".join(door.url.split("/")[2:4])
        for value in re.findall(r'<option value="(\w+_selected)"', text):
            right = LISTS[name].ticked.get(value) or name.replace("/", f".{value.partition('_')[0]}_")
            if wanted(who, (right,)) != "let in":
                wrong.add(f"{door.url} offers {value}")
        if 'id="tail"' in text and wanted(who, ("realtime_project.tail_connection",)) != "let in":
            wrong.add(f"{door.url} offers the frames")
    assert not wrong, "\n".join(sorted(wrong))


def test_every_socket_of_the_panel_has_a_rule() -> None:
    from admin_panel.routing import urlpatterns

    assert {f"/{route.pattern}" for route in urlpatterns} == set(SOCKETS)
    others = {each["path"] for each in routing.endpoints} - set(SOCKETS)
    assert not [path for path in others if "admin" in path or "dashboard" in path]


@pytest.mark.parametrize("who", ["anonymous", "guest", "ordinary", *HIRED, "super"])
async def test_every_socket_is_for_who_may(server: Running, staff: dict[str, str], who: str) -> None:
    holds = {STAFF} if who in (*HIRED, "super") else set()
    holds |= {f"realtime_project.{name}" for name in HIRED.get(who, [])}
    cookie = guest(server) if who == "guest" else staff.get(who)
    async with connect(server.ws("ws/asgi/echo/")) as watched:
        id = await client_id(server, watched)
        for endpoint, right in SOCKETS.items():
            url = server.ws(endpoint[1:].replace("<connection>", id))
            assert await entered(url, cookie, server.url) == (who == "super" or right in holds), endpoint
            with pytest.raises(InvalidStatus):  # another site, with this person's browser
                async with connect(url, cookie, origin="https://evil.example"):
                    pass
        await stays(watched)


async def entered(url: str, cookie: str | None, origin: str) -> bool:
    """Whether a socket shows anything. Browsers cannot read a refused handshake, so some accept and then close."""
    try:
        async with connect(url, cookie, origin=origin) as socket:
            await socket.recv()
            return True
    except InvalidStatus as refused:
        return refused.response.status_code != 403
    except ConnectionClosed as closed:
        return closed.rcvd is None or closed.rcvd.code != 4403
