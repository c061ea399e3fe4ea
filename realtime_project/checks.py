"""What Django's system checks say of settings that work for one server and quietly do not for several."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.db import connection


@register()
def several_servers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Silent in development, where one process serves."""
    if settings.DEBUG:
        return []
    found: list[CheckMessage] = []
    if str(settings.CHANNEL_LAYERS["default"]["BACKEND"]).endswith(".InMemoryChannelLayer"):
        found.append(
            Warning(
                "The in-memory channel layer reaches one process: on several servers, plain topics would not meet and "
                "durable ones would arrive by the sweep alone.",
                hint="Set REDIS_URL, or run one server.",
                id="realtime.W001",
            )
        )
    if connection.vendor == "sqlite":
        found.append(
            Warning(
                "SQLite serves the processes of one machine, which wait for each other's writes.",
                hint="Set DATABASE_URL to a PostgreSQL database, or run one server.",
                id="realtime.W002",
            )
        )
    return found
