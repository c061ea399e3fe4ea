"""How tests start these actors' server, and what they read of what happened there."""

import asyncio
import json
import sqlite3
from contextlib import closing
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


def game(server: Server, code: str) -> dict[str, Any]:
    """A game of the quiz as it is stored, right answers included: no socket tells them."""
    with closing(sqlite3.connect(server.database)) as database:
        query = "SELECT content FROM actors_storeentry WHERE store = 'demo.quiz' AND key = ?"
        [(content,)] = database.execute(query, [code]).fetchall()
    found: dict[str, Any] = json.loads(content)
    return found


def right_answers(server: Server, code: str) -> list[int]:
    return [question["right"] for question in game(server, code)["questions"]]
