"""The WebSocket endpoints of the panel."""

from django.urls import URLPattern, path

from .consumers import DashboardConsumer
from .tails import TailConsumer

urlpatterns: list[URLPattern] = [
    path("ws/dashboard/", DashboardConsumer.as_asgi()),
    path("ws/admin/tail/<connection>/", TailConsumer.as_asgi()),
]
