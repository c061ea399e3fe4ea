"""The tutorial's asgi.py without its log-in: `/broadcast` is the one room, `/echo` beside it."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.plain_channels.settings")
http = get_asgi_application()

from .consumers import ChatConsumer, EchoConsumer  # noqa: E402

routes = [path("broadcast", ChatConsumer.as_asgi()), path("echo", EchoConsumer.as_asgi())]
application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(routes)})
