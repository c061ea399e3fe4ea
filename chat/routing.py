"""The WebSocket endpoints of chat."""

from django.urls import URLPattern, path

from realtime_project.demos import Demo

from . import demos
from .consumers import ChatConsumer, TopicConsumer

SAID = '{"user": "ann", "text": "hi"}'

urlpatterns: list[URLPattern] = [
    path("ws/chat/", ChatConsumer.as_asgi()),
    Demo(
        path(
            "ws/broadcast/",
            TopicConsumer.as_asgi(clients_subscribe_to=[demos.chat], clients_push_into=[demos.chat]),
        ),
        "A whole chatroom in one line: what you send, text or bytes, reaches everybody here, you included.",
        samples=["Hello, everybody"],
    ),
    Demo(
        path("ws/feed/", TopicConsumer.as_asgi(clients_subscribe_to=[demos.news])),
        "News, one way: what you send is ignored. All are kept, and since=0 in the address asks for those from the "
        'beginning. To publish some: manage.py publish news "Breaking".',
        address="/ws/feed/?since=0",
    ),
    Demo(
        path("ws/rooms/", demos.RoomConsumer.as_asgi()),
        "The room called “default”.",
        samples=[SAID],
    ),
    Demo(
        path("ws/rooms/<room>/", demos.RoomConsumer.as_asgi()),
        "Rooms from the path, whichever you name: JSON with a user and a text, to everybody in that room.",
        address="/ws/rooms/harbour/",
        samples=[SAID],
    ),
    Demo(
        path("ws/subprotocols/", demos.SubprotocolConsumer.as_asgi()),
        "Picks graphql-ws from what is offered, else json, else nothing, and answers in that form.",
        samples=[
            "hello",
            '{"type": "connection_init"}',
            '{"id": "1", "type": "subscribe", "payload": {"query": "{ now }"}}',
        ],
        subprotocols=["json", "graphql-ws"],
    ),
    Demo(
        path("ws/asgi/echo/", demos.echo),  # type: ignore[arg-type]  # any ASGI application; Django's types know views
        "A bare ASGI callable, mounted beside the rest: “x” comes back as “Echo: x”, bytes as they are.",
        samples=["x"],
    ),
]
