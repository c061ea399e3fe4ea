"""The WebSocket endpoints of actors."""

from django.conf import settings
from django.urls import URLPattern, path

from . import examples
from .consumers import ActorConsumer
from .store import Store

urlpatterns: list[URLPattern] = []

if settings.REALTIME_DEMOS:
    urlpatterns += [
        path("ws/echo/", ActorConsumer.as_asgi(initial_state=examples.Guest(), rules=examples.echo)),
        path(
            "ws/names/",
            ActorConsumer.as_asgi(initial_state=examples.Unnamed(), rules=examples.names, persist=True),
        ),
        path(
            "ws/store/",
            ActorConsumer.as_asgi(
                initial_state=examples.Shelf(Store("demo.inventory")),
                rules=examples.inventory,
                messages=[examples.StoreRequest, examples.FetchRequest],
            ),
        ),
    ]
