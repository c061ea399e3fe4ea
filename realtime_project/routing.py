"""Every WebSocket endpoint: what the installed apps' `routing.urlpatterns` declare, each behind the door."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.urls.resolvers import RegexPattern

from .connections import door, refuse
from .demos import Demo


def collect() -> list[URLPattern]:
    """The routes of all apps, in the order of INSTALLED_APPS; demonstrations only where they are on."""
    return [
        route
        for app in apps.get_app_configs()
        if app.name != __package__ and find_spec(f"{app.name}.routing")
        for route in getattr(import_module(f"{app.name}.routing"), "urlpatterns", [])
        if settings.REALTIME_DEMOS or not isinstance(route, Demo)
    ]


def guarded(route: URLPattern) -> URLPattern:
    """The route, behind the door."""
    wrapped = door(route.callback, endpoint=f"/{route.pattern}")
    return URLPattern(route.pattern, wrapped, route.default_args, route.name)


def upgrade_required(request: HttpRequest, **parts: str) -> HttpResponse:
    """The answer to a page request for a WebSocket's address (RFC 9110, section 15.5.22)."""
    return HttpResponse(
        "This address speaks WebSocket.\n",
        content_type="text/plain",
        status=426,
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def described(route: URLPattern) -> dict[str, Any]:
    """An endpoint, as every server tells the others:

    {"path": "/ws/feed/", "mode": "topic", "max_size": bytes of one message, "rate": messages a second of one client,
    "burst": at once, "queue": messages that wait for the application}. A rate of 0 is no limit.
    """
    door: Any = route.callback
    pace = getattr(getattr(door.app, "consumer_class", None), "pace", None)
    rate, burst = pace(**door.app.consumer_initkwargs) if pace else (0, 0)
    return {
        "path": door.endpoint,
        "mode": door.mode,
        "max_size": door.max_size,
        "rate": rate,
        "burst": burst,
        "queue": settings.WEBSOCKET_MAX_QUEUE,
    }


_declared = collect()
_routes = [guarded(route) for route in _declared]
demos = [route for route in _declared if isinstance(route, Demo)]
pages = [URLPattern(route.pattern, upgrade_required) for route in _routes]
endpoints = [described(route) for route in _routes]
applications = {route.callback.endpoint: route.callback.app for route in _routes}  # type: ignore[attr-defined]
urlpatterns = [*_routes, URLPattern(RegexPattern(""), refuse)]  # unknown paths are refused
