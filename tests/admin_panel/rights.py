"""Who may do what in the admin: the rule of every page, every order and every socket, and the kinds of people.

Pages are taken from the URL resolver, orders from where they are declared. One that has no rule here is a KeyError, so
that nobody adds a page without saying who may see it.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib.auth.models import Permission
from django.urls import get_resolver

from realtime_project.actions import collect

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


def granted(*names: str) -> list[Permission]:
    found = [Permission.objects.get(content_type__app_label=app, codename=code) for app, code in
             (name.split(".") for name in names)]  # fmt: skip
    return found


def held(who: str) -> set[str]:
    """What a person of PEOPLE holds."""
    seeing = {name for name in PERMISSIONS if ".view_" in name}
    return seeing if who == "viewer" else {who, *(seeing if who.startswith("viewer ") else ())} & set(PERMISSIONS)


def wanted(who: str, rights: tuple[str, ...]) -> str:
    if who in OUTSIDERS:
        return "asked to log in"
    is_held = STAFF in rights or bool(held(who) & set(rights)) or (who == "boss" and set(rights) != {NOBODY})
    return "let in" if is_held else "refused"
