"""The whole way of a request, read from the wire inward."""

import gc
import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "realtime_project.settings")
http = get_asgi_application()  # sets Django up: what follows may import models

from .identity import Identity  # noqa: E402
from .origins import Origins  # noqa: E402
from .routing import endpoints, urlpatterns  # noqa: E402
from .serving import Served  # noqa: E402

# What was loaded stays: the cyclic collector need not look at it again. Nor at the rest every 700 allocations: a
# fan-out makes thousands that reference counting frees at once, and collections took a fifth of its time. Connections
# refer to themselves nowhere once they have gone. What others leave behind is found often enough, a little at a time.
gc.freeze()
gc.set_threshold(5_000, 1, 200)

application = Served(  # the first request begins registry, hub and orders, where the server has not
    ProtocolTypeRouter(
        {
            "http": http,
            "websocket": Origins(  # 403 for a foreign page
                Identity(  # scope["session"], scope["user"]
                    URLRouter(urlpatterns)  # each wrapped in the door
                )
            ),
        }
    ),
    endpoints,
)
