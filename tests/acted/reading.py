"""How tests start these actors' server, and what they read of what happened there."""

import asyncio
from typing import Any

from tests.helpers import Server

ACTED: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "tests.acted.settings"}

LOG = """
from realtime_project.models import TopicEvent
events = TopicEvent.objects.filter(topic__name="acted.log").order_by("offset")
print(json.dumps([bytes(event.content).decode() for event in events]))
"""


async def logged(server: Server) -> list[str]:
    """What the actors have published to their durable log, in order."""
    return await asyncio.to_thread(server.python, LOG)
