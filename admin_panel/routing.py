"""The WebSocket endpoints of the panel."""

from django.urls import URLPattern, path

from .tails import TailConsumer

urlpatterns: list[URLPattern] = [
    path("ws/admin/tail/<connection>/", TailConsumer.as_asgi()),
]
