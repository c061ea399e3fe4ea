"""The WebSocket endpoints of actors: the examples."""

from django.urls import URLPattern, path

from realtime_project.demos import Demo

from . import examples
from .consumers import ActorConsumer
from .store import Store

urlpatterns: list[URLPattern] = [
    Demo(
        path("ws/echo/", ActorConsumer.as_asgi(initial_state=examples.Guest(), rules=examples.echo)),
        "The smallest actor: says “welcome!”, then tells you what you said. Bytes come back as bytes.",
        samples=["hello"],
    ),
    Demo(
        path(
            "ws/names/",
            ActorConsumer.as_asgi(initial_state=examples.Unnamed(), rules=examples.names, persist=True, record=True),
        ),
        "A chatroom for those who have said who they are: your first message is your name. Its actors are kept: offer "
        "“session.” with the token that you are told, beside “session”, and you are who you were.",
        samples=["bob", "hi"],
        subprotocols=["session"],
    ),
    Demo(
        path(
            "ws/store/",
            ActorConsumer.as_asgi(
                initial_state=examples.Shelf(Store("demo.inventory")),
                rules=examples.inventory,
                messages=[examples.StoreRequest, examples.FetchRequest],
            ),
        ),
        "Typed messages on a store that all share: what one puts in, every other fetches, after a restart too.",
        samples=[
            '{"type": "StoreRequest", "key": "apples", "value": 3}',
            '{"type": "FetchRequest", "key": "apples"}',
        ],
    ),
]
