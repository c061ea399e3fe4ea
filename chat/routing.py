"""The WebSocket endpoints of chat."""

from django.conf import settings
from django.urls import URLPattern, path

from . import demos
from .consumers import ChatConsumer, TopicConsumer

urlpatterns: list[URLPattern] = [path("ws/chat/", ChatConsumer.as_asgi())]

if settings.REALTIME_DEMOS:
    urlpatterns += [
        path(
            "ws/broadcast/",
            TopicConsumer.as_asgi(clients_subscribe_to=[demos.chat], clients_push_into=[demos.chat]),
        ),
        path("ws/feed/", TopicConsumer.as_asgi(clients_subscribe_to=[demos.news])),
        path("ws/rooms/", demos.RoomConsumer.as_asgi()),
        path("ws/rooms/<str:room>/", demos.RoomConsumer.as_asgi()),
        path("ws/subprotocols/", demos.SubprotocolConsumer.as_asgi()),
        path("ws/asgi/echo/", demos.echo),  # type: ignore[arg-type]  # any ASGI application; Django's types know views
    ]
