"""Staff: each member with the permissions that their name says, logged in at the shared server. And, in process, every
kind of person before one of everything.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from actors.models import OutboundClient, Recording, Step
from chat.models import Message, Room
from realtime_project.models import Ban, Connection, TopicHead
from realtime_project.models import Server as ServerRow
from tests.admin_panel.rights import granted, held
from tests.helpers import Server, browser, cookies

VIEW = ["view_server", "view_connection", "view_topichead", "view_ban"]
ORDERS = {  # order → its permission
    "close": "close_connection",
    "close-user": "close_connection",
    "stop": "stop_connection",
    "message": "message_connection",
    "ban": "add_ban",
    "lift": "delete_ban",
    "publish": "publish_topichead",
    "announce": "announce_server",
    "drain": "drain_server",
}
STAFF = {
    "nothing": [],
    "viewer": VIEW,
    **{permission: [*VIEW, permission] for permission in [*ORDERS.values(), "tail_connection"]},
}
HIRE = """
from django.contrib.auth.models import Permission
from django.test import Client
from chat.models import User
sessions = {{}}
for name, permissions in {staff!r}.items():
    user = User.objects.filter(username="staff " + name).first() or User.objects.create_user(
        "staff " + name, is_staff=name != "ordinary", is_superuser=name == "super"
    )
    wanted = Permission.objects.filter(codename__in=permissions, content_type__app_label="realtime_project")
    assert wanted.count() == len(permissions), (name, permissions)
    user.user_permissions.set(wanted)
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    sessions[name] = client.cookies["sessionid"].value
print(json.dumps(sessions))
"""


class Desk:
    """A browser without scripts, in the hands of one member of staff."""

    def __init__(self, server: Server, cookie: str | None):
        self.server = server
        self.cookies = {**(cookies(cookie) if cookie else {}), "csrftoken": "t" * 32}

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self._ask("GET", path, params=query or None)

    def post(self, path: str, **form: Any) -> httpx.Response:
        return self.post_without_token(path, **form, csrfmiddlewaretoken=self.cookies["csrftoken"])

    def post_without_token(self, path: str, **form: Any) -> httpx.Response:
        return self._ask("POST", path, data=form)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        with browser(self.server.url, cookies=self.cookies) as asking:
            return asking.request(method, path, **request)

    def order(self, name: str, **form: Any) -> httpx.Response:
        """Gives an order on its page."""
        return self.post(f"/admin/orders/{name}/", confirmed="1", **{"why": "a test asks", **form})


def hire(server: Server, *names: str) -> dict[str, str]:
    """Name → the Cookie header of such a member of staff, with the permissions in STAFF."""
    known = {**STAFF, "super": [], "ordinary": []}
    sessions = server.python(HIRE.format(staff={name: known[name] for name in names}))
    return {name: f"sessionid={key}" for name, key in sessions.items()}


@pytest.fixture(scope="session")
def staff(server: Server) -> dict[str, str]:
    return hire(server, *STAFF, "super", "ordinary")


@pytest.fixture
def desk(server: Server, staff: dict[str, str]) -> Callable[[str], Desk]:
    """`desk("viewer")`: that member of staff's desk; "anonymous" has none."""
    return lambda name: Desk(server, staff.get(name))


# In process -----------------------------------------------------------------------------------------------------
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
    server = ServerRow.objects.create(id="5" * 32, host="here", port=1, pid=1, version="1", seen_at=Now())
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
