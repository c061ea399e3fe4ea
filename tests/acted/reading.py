"""How tests start these actors' server, and what they read of what happened there."""

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from tests.helpers import Server, connect

ACTED: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "tests.acted.settings"}

LOG = """
from realtime_project.models import TopicEvent
events = TopicEvent.objects.filter(topic__name="acted.log").order_by("offset")
print(json.dumps([bytes(event.content).decode() for event in events]))
"""


async def logged(server: Server) -> list[str]:
    """What the actors have published to their durable log, in order."""
    return await asyncio.to_thread(server.python, LOG)


async def left(server: Server) -> Counter[str]:
    """What its process holds, of who asks too: how many of each."""
    async with connect(server.ws("ws/acted/left/")) as staff:
        told = await staff.recv_json()
    return Counter(told.pop("tasks")) + Counter(told)


async def left_by_all(server: Server) -> Counter[str]:
    """The same, as soon as nobody but who asks is there. What comes and goes by itself may be among it."""
    async with asyncio.timeout(15):
        while (found := await left(server))["connections"] > 1 or found["actors"] or found["rows"]:
            await asyncio.sleep(0.2)
    return found


async def nothing_more(server: Server, before: Counter[str]) -> None:
    """Returns when its process holds nothing that it did not hold before; fails, with what it still holds."""
    deadline = asyncio.get_running_loop().time() + 15
    while more := await left(server) - before:
        assert asyncio.get_running_loop().time() < deadline, more
        await asyncio.sleep(0.2)


def game(server: Server, code: str) -> dict[str, Any]:
    """A game of the quiz as it is stored, right answers included: no socket tells them."""
    with closing(sqlite3.connect(server.database)) as database:
        query = "SELECT content FROM actors_storeentry WHERE store = 'demo.quiz' AND key = ?"
        [(content,)] = database.execute(query, [code]).fetchall()
    found: dict[str, Any] = json.loads(content)
    return found


def right_answers(server: Server, code: str) -> list[int]:
    return [question["right"] for question in game(server, code)["questions"]]
