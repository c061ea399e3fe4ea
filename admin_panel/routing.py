"""The WebSocket endpoints of the panel."""

from django.urls import URLPattern, path

from .consumers import DashboardConsumer

urlpatterns: list[URLPattern] = [
    path("ws/dashboard/", DashboardConsumer.as_asgi()),
]
