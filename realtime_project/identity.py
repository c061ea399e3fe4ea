"""Who is at the other end: the session cookie → scope["session"] and scope["user"].

Channels' own middleware asks the database on the one thread that all consumers share; this asks on the pool.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, parse_cookie

from . import database

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Identity:
    """ASGI middleware. A request without a session cookie costs no query."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        key = _session_key(scope["headers"])
        session, user = await database.run(_look_up, key) if key else (_session(None), AnonymousUser())
        await self.app({**scope, "session": session, "user": user}, receive, send)


def _session_key(headers: list[tuple[bytes, bytes]]) -> str | None:
    cookies = "; ".join(value.decode("latin1") for name, value in headers if name == b"cookie")
    return parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)


def _session(key: str | None) -> SessionBase:
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return store


def _look_up(key: str) -> tuple[SessionBase, AbstractBaseUser | AnonymousUser]:
    """Checks what Django checks of a request: the session, the backend, the password's hash, is_active."""
    request = HttpRequest()
    request.session = _session(key)
    return request.session, get_user(request)


def household(address: str) -> str | None:
    """An address as what is counted where one may have so much of something: of IPv6 the first 64 bits, because a
    household has all the rest. None for what is no address.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))
