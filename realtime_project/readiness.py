"""Whether this process should be sent clients: what it needs answers, and it is not about to leave.

The rule: being ready is more than being alive. A server starts, and serves what it can, without Redis or the database;
whoever shares clients out asks here first.
"""

from __future__ import annotations

import asyncio

from django.db import connection

from . import database
from .serving import serving
from .topics import hub

LIMIT = 2.0  # seconds for the database to answer


async def missing() -> list[str]:
    """What this process lacks, in words; nothing if it is ready."""
    if serving.orders is None:
        return ["this process does not serve yet"]
    lacks = [] if await _database_answers() else ["the database does not answer"]
    if not serving.orders.heard:
        lacks.append("orders are not heard yet")
    lacks += [f"channel layer {seat.number} does not answer" for seat in hub().seats if not seat.hears]
    if serving.draining:
        lacks.append("this server is draining")
    return lacks


async def _database_answers() -> bool:
    try:
        async with asyncio.timeout(LIMIT):
            await database.run(_ask)
    except Exception:
        return False
    return True


def _ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
