"""Everybody at every door: each page of the admin, each order and each socket × each kind of person.

Pages are taken from the URL resolver, orders and sockets from where they are declared. One that has no rule here fails,
so that nobody adds a page without saying who may see it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models.functions import Now
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from actors.models import OutboundClient, Recording, Step
from chat.models import Message, Room
from realtime_project import routing
from realtime_project.actions import collect
from realtime_project.models import Ban, Connection, Server, TopicHead
from tests.admin_panel.conftest import STAFF as HIRED
from tests.admin_panel.test_orders import client_id, stays
from tests.helpers import Server as Running
from tests.helpers import connect, guest

pytestmark = pytest.mark.django_db


# the rules ------------------------------------------------------------------------------------------------------
ANYBODY, STAFF, NOBODY = "anybody", "staff", "nobody"
SEVERAL = "several permissions"  # which nobody here has but the superuser
SEE_RECORDING, SEE_CLIENT = "actors.view_recording", "realtime_project.view_connection"
CLOSE, BAN = "realtime_project.close_connection", "realtime_project.add_ban"

PAGES = {
    "admin/": STAFF,
    "admin/login/": ANYBODY,
    "admin/logout/": ANYBODY,
    "admin/password_change/": STAFF,  # one's own
    "admin/password_change/done/": STAFF,
    "admin/jsi18n/": STAFF,
    "admin/autocomplete/": NOBODY,  # no field of ours asks it
    "admin/search/": STAFF,  # among the lists that one may see
    "admin/r/<path:content_type_id>/<path:object_id>/": STAFF,
    "admin/(?P<url>.*)$": STAFF,  # what is not there
    "admin/endpoints/": "realtime_project.view_server",
    "admin/console/": "realtime_project.view_server",
    "admin/diagrams/": SEE_CLIENT,
    "admin/recordings/replay/": SEE_RECORDING,
    "admin/recordings/<str:id>/export/": SEE_RECORDING,
}
HAND = "<path:object_id>/"


class Listed(NamedTuple):
    """Who may do what with a list, its pages and its buttons. None: what Django's permission of that name says."""

    see: str | None = None
    add: str | None = None
    change: str | None = None
    delete: str | None = None
    buttons: dict[str, str] = {}
    ticked: dict[str, str] = {}  # what can be done with several
    opens: tuple[str, ...] = ("", "add/", "<path:object_id>/delete/")  # pages whose permission shows its app, too


ONLY_SEEN = (NOBODY, NOBODY, NOBODY)  # nobody adds, changes or deletes by hand
CLIENT = {
    HAND + "close/": CLOSE,
    HAND + "stop/": "realtime_project.stop_connection",
    HAND + "message/": "realtime_project.message_connection",
    HAND + "close_user/": CLOSE,
    HAND + "ban_user/": BAN,
    HAND + "ban_address/": BAN,
}
STEER = "actors.steer_outboundclient"
LISTS = {
    "realtime_project/server": Listed(None, *ONLY_SEEN, buttons={HAND + "drain/": "realtime_project.drain_server"}),
    "realtime_project/connection": Listed(None, *ONLY_SEEN, buttons=CLIENT, ticked={"close_selected": CLOSE}),
    "admin_panel/actor": Listed(
        SEE_CLIENT, *ONLY_SEEN, buttons=CLIENT,
        ticked={"close_selected": CLOSE, "stop_selected": "realtime_project.stop_connection"},
    ),
    "realtime_project/topichead": Listed(None, *ONLY_SEEN, buttons={"publish/": "realtime_project.publish_topichead"}),
    "realtime_project/ban": Listed(
        None, *ONLY_SEEN, buttons={"ban/": BAN}, ticked={"lift_selected": "realtime_project.delete_ban"}
    ),
    "admin/logentry": Listed(None, *ONLY_SEEN),
    "actors/outboundclient": Listed(
        buttons={HAND + "start/": STEER, HAND + "stop/": STEER, HAND + "again/": STEER},
        ticked={"start_selected": STEER, "stop_selected": STEER},
    ),
    "actors/recording": Listed(
        add=NOBODY, change=SEE_RECORDING, buttons={"replay/": SEE_RECORDING},  # a POST changes nothing there
        ticked={"replay_selected": SEE_RECORDING}, opens=("",),
    ),
    "actors/step": Listed(SEE_RECORDING, NOBODY, SEE_RECORDING, NOBODY),
    "chat/user": Listed(buttons={"<id>/password/": "chat.change_user"}),
    "chat/room": Listed(add=NOBODY, delete=NOBODY),
    "chat/message": Listed(None, *ONLY_SEEN),
    "auth/group": Listed(),
    "axes/accessattempt": Listed(add=NOBODY),
    "axes/accesslog": Listed(add=NOBODY),
    "axes/accessfailurelog": Listed(add=NOBODY),
}  # fmt: skip
SOCKETS = {  # ours: endpoint → who may; others are the apps' own
    "/ws/dashboard/": STAFF,
    "/ws/admin/tail/<connection>/": "realtime_project.tail_connection",
}
FORM = {  # enough for every order
    "confirmed": "1", "why": "forged", "code": "4410", "reason": "forged", "content": "forged", "topic": "news",
    "text": "forged", "address": "203.0.113.9", "hours": "1", "post": "yes", "name": "forged",
}  # fmt: skip


class Door(NamedTuple):
    """A page, with what must be held of a person who asks (`get`) and of one who sends a form (`post`)."""

    url: str
    get: tuple[str, ...]  # any of these
    post: tuple[str, ...]
    missing: int = 403  # what the others are answered


def routes(patterns: Any = None, before: str = "") -> Iterator[str]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


def doors(keys: dict[str, Any]) -> list[Door]:
    """Every page of the admin. KeyError for one that has no rule."""
    found: list[Door] = []
    for route in routes():
        if not route.startswith("admin/"):
            continue
        if labels := re.match(r"admin/\^\(\?P<app_label>([\w|]+)\)/\$$", route):
            for label in labels[1].split("|"):
                names = [name for name in LISTS if name.startswith(f"{label}/")]
                pages = [_rights(name, page) for name in names for page in LISTS[name].opens]
                any_of = tuple({right for each in pages for right in each.get} - {NOBODY})
                found.append(Door(f"/admin/{label}/", any_of, any_of, missing=404))
        elif route == "admin/orders/<slug:name>/":
            for order in collect().values():
                found.append(Door(f"/admin/orders/{order.name}/", (order.permission,), (order.permission,)))
        elif route in PAGES:
            url = "/" + re.sub(r"<\w+:\w+>", "1", route).replace("(?P<url>.*)$", "nothing/is/here/")
            found.append(Door(url, (PAGES[route],), (PAGES[route],)))
        else:
            _, app, model, rest = route.split("/", 3)
            rights = _rights(f"{app}/{model}", rest)
            found.append(Door("/" + re.sub(r"<[\w:]+>", str(keys[f"{app}/{model}"]), route), rights.get, rights.post))
    return found


class Rights(NamedTuple):
    get: tuple[str, ...]
    post: tuple[str, ...]


def _rights(name: str, rest: str = "") -> Rights:
    """Who may open the page of a list that `rest` leads to."""
    listed, (app, model) = LISTS[name], name.split("/")

    def right(deed: str) -> str:
        return getattr(listed, deed) or f"{app}.{deed if deed != 'see' else 'view'}_{model}"

    see = (right("see"), right("change"))
    pages = {
        "": Rights(see, see),
        "add/": Rights((right("add"),), (right("add"),)),
        HAND + "history/": Rights(see, see),
        HAND + "delete/": Rights((right("delete"),), (right("delete"),)),
        HAND + "change/": Rights(see, (right("change"),)),
        HAND: Rights((STAFF,), (STAFF,)),  # leads to the page above
    }
    if name == "chat/user":
        pages["add/"] = Rights((SEVERAL,), (SEVERAL,))  # who adds may change as well
    return pages[rest] if rest in pages else Rights(*[(listed.buttons[rest],)] * 2)


PERMISSIONS = sorted(
    {
        *(right for name in LISTS for page in ("", "add/", HAND + "delete/", HAND + "change/") for right in
          (*_rights(name, page).get, *_rights(name, page).post)),
        *(right for listed in LISTS.values() for right in (*listed.buttons.values(), *listed.ticked.values())),
        *PAGES.values(),
        *SOCKETS.values(),
        *(order.permission for order in collect().values()),
    }
    - {ANYBODY, STAFF, NOBODY, SEVERAL}
)  # fmt: skip
OUTSIDERS = ("anonymous", "ordinary", "dismissed", "suspended")
# Each of the permissions that are ours, alone. Those of other apps' lists open nothing of ours.
PEOPLE = (*OUTSIDERS, "nothing", "demoted", "viewer", "boss",
          *(name for name in PERMISSIONS if not name.startswith(("auth.", "axes.", "chat."))))  # fmt: skip
STEERING = [who for who in PEOPLE if "." in who and ".view_" not in who]


def among(people: Iterable[str]) -> list[Any]:
    """Those with one permission take minutes together: `make soak` asks all of them. test_orders has their orders."""
    return [pytest.param(who, marks=pytest.mark.soak) if "." in who else who for who in people]


# who asks -------------------------------------------------------------------------------------------------------
def granted(*names: str) -> list[Permission]:
    found = [Permission.objects.get(content_type__app_label=app, codename=code) for app, code in
             (name.split(".") for name in names)]  # fmt: skip
    return found


def held(who: str) -> set[str]:
    """What a person of PEOPLE holds."""
    seeing = {name for name in PERMISSIONS if ".view_" in name}
    return seeing if who == "viewer" else {who, *(seeing if who.startswith("viewer ") else ())} & set(PERMISSIONS)


@pytest.fixture
def enter(rows: dict[str, Any]) -> Callable[[str], Client]:
    """A browser of theirs, logged in. Who has come down did so while they were."""

    def come(who: str) -> Client:
        client = Client(raise_request_exception=False)
        if who == "anonymous":
            return client
        falls = who in ("demoted", "dismissed", "suspended")
        people: Any = get_user_model().objects
        person = people.create_user(who, is_staff=who != "ordinary", is_superuser=who == "boss" or falls)
        person.user_permissions.set(granted(*held(who)))
        client.force_login(person, "django.contrib.auth.backends.ModelBackend")
        if falls:
            assert client.get("/admin/realtime_project/server/").status_code == 200, "they were in"
            staff, active = who == "demoted", who != "suspended"
            people.filter(pk=person.pk).update(is_superuser=False, is_staff=staff, is_active=active)
        return client

    return come


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    """One of everything; by list, its key."""
    ann: Any = get_user_model().objects.create_user("ann")
    server = Server.objects.create(id="5" * 32, host="here", port=1, pid=1, version="1", seen_at=Now())
    row = Connection.objects.create(
        id="a" * 32, server=server, channel_id=0, endpoint="/ws/names/", path="/ws/names/", mode="actor",
        client_ip="10.0.0.1", user=ann, connected_at=timezone.now(), state="Named()",
    )  # fmt: skip
    topic, _ = TopicHead.objects.get_or_create(name="news")
    now = timezone.now()
    recording = Recording.objects.create(
        id="b" * 32, endpoint="/ws/names/", user=ann, state="Named()", begun_at=now, last_at=now, taken=1
    )
    step = Step.objects.create(
        recording=recording, number=1, at=now, kind="begin", took=0, told="null", was="null", became="null",
        effects="[]",
    )  # fmt: skip
    room = Room.objects.first() or Room.objects.create(name="Lobby", slug="lobby")
    message = Message.objects.create(room=room, author=ann, offset=1_000, text="hi", client_id="x", created_at=now)
    ban = Ban.objects.create(address="198.51.100.7/32", until=now, why="x")
    return {
        "realtime_project/server": server.pk,
        "realtime_project/connection": row.pk,
        "admin_panel/actor": row.pk,
        "realtime_project/topichead": topic.pk,
        "realtime_project/ban": ban.pk,
        "admin/logentry": LogEntry.objects.create(user=ann, action_flag=2, object_repr="x").pk,
        "actors/outboundclient": OutboundClient.objects.create(name="feed", url="wss://example.org/").pk,
        "actors/recording": recording.pk,
        "actors/step": step.pk,
        "chat/user": ann.pk,
        "chat/room": room.pk,
        "chat/message": message.pk,
        "auth/group": Group.objects.create(name="crew").pk,
        "axes/accessattempt": apps.get_model("axes", "accessattempt").objects.create(failures_since_start=1).pk,
        "axes/accesslog": apps.get_model("axes", "accesslog").objects.create().pk,
        "axes/accessfailurelog": apps.get_model("axes", "accessfailurelog").objects.create().pk,
    }  # fmt: skip


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


def wanted(who: str, rights: tuple[str, ...]) -> str:
    if who in OUTSIDERS:
        return "asked to log in"
    is_held = STAFF in rights or bool(held(who) & set(rights)) or (who == "boss" and set(rights) != {NOBODY})
    return "let in" if is_held else "refused"


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
