"""Every WebSocket endpoint: what the installed apps' `routing.urlpatterns` declare, each behind the door."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.urls.resolvers import RegexPattern

from .connections import door, refuse


def collect() -> list[URLPattern]:
    """The routes of all apps, in the order of INSTALLED_APPS."""
    routes: list[URLPattern] = []
    for app in apps.get_app_configs():
        if app.name == __package__ or not find_spec(f"{app.name}.routing"):
            continue
        for route in getattr(import_module(f"{app.name}.routing"), "urlpatterns", []):
            wrapped = door(route.callback, endpoint=f"/{route.pattern}")
            routes.append(URLPattern(route.pattern, wrapped, route.default_args, route.name))
    return routes


def upgrade_required(request: HttpRequest, **parts: str) -> HttpResponse:
    """The answer to a page request for a WebSocket's address (RFC 9110, section 15.5.22)."""
    return HttpResponse(
        "This address speaks WebSocket.\n",
        content_type="text/plain",
        status=426,
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


_routes = collect()
pages = [URLPattern(route.pattern, upgrade_required) for route in _routes]
endpoints = [{"path": route.callback.endpoint, "mode": route.callback.mode} for route in _routes]  # type: ignore[attr-defined]
applications = {route.callback.endpoint: route.callback.app for route in _routes}  # type: ignore[attr-defined]
urlpatterns = [*_routes, URLPattern(RegexPattern(""), refuse)]  # unknown paths are refused
