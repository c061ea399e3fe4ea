"""The tutorial's asgi.py without its log-in: `ws/broadcast/` is the one room."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.plain_channels.settings")
http = get_asgi_application()

from .consumers import ChatConsumer  # noqa: E402

application = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([path("ws/broadcast/", ChatConsumer.as_asgi())])}
)
