"""Staff: each member with the permissions that their name says, logged in at the shared server."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

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
