"""Staff: each member with the permissions that their name says, logged in at the shared server."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.helpers import PATIENCE, Server, cookies

VIEW = ["view_server", "view_connection", "view_topichead", "view_ban"]
ORDERS = {  # order → its permission
    "close": "close_connection",
    "close-user": "close_connection",
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
    user = User.objects.create_user("staff " + name, is_staff=name != "ordinary", is_superuser=name == "super")
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
        self.server, self.cookie = server, cookie
        kept = cookies(cookie) if cookie else None
        self.browser = httpx.Client(base_url=server.url, cookies=kept, trust_env=False, timeout=PATIENCE)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.browser.get(path, params=query or None)

    def post(self, path: str, **form: Any) -> httpx.Response:
        if "csrftoken" not in self.browser.cookies:
            self.browser.get("/admin/login/", follow_redirects=True)
            if "csrftoken" not in self.browser.cookies:  # who is logged in is led past the form
                self.browser.get("/accounts/guest/", follow_redirects=True)
        token = self.browser.cookies.get("csrftoken") or "x" * 32
        self.browser.cookies.set("csrftoken", token)
        return self.browser.post(path, data={**form, "csrfmiddlewaretoken": token})

    def order(self, name: str, **form: Any) -> httpx.Response:
        """Gives an order on its page."""
        return self.post(f"/admin/orders/{name}/", confirmed="1", **{"why": "a test asks", **form})


def hire(server: Server, *names: str) -> dict[str, str]:
    """Name → the Cookie header of such a member of staff. New people, with the permissions in STAFF."""
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
