"""Every WebSocket endpoint: what the installed apps' `routing.urlpatterns` declare, each behind the door."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from django.urls import URLPattern, re_path

from .connections import door, refuse


def collect() -> list[URLPattern]:
    """The routes of all apps, in the order of INSTALLED_APPS; unknown paths are refused."""
    routes: list[URLPattern] = []
    for app in apps.get_app_configs():
        if app.name == __package__ or not find_spec(f"{app.name}.routing"):
            continue
        for route in getattr(import_module(f"{app.name}.routing"), "urlpatterns", []):
            wrapped = door(route.callback, endpoint=f"/{route.pattern}")
            routes.append(URLPattern(route.pattern, wrapped, route.default_args, route.name))
    return [*routes, re_path("", refuse)]


urlpatterns = collect()
endpoints = [{"path": route.callback.endpoint, "mode": route.callback.mode} for route in urlpatterns[:-1]]
