"""What Redis knows of the servers that tests run."""

import asyncio
from collections.abc import Sequence

from benchmarks.services import Redis
from realtime_project.feeds import group_of
from tests.helpers import PATIENCE


async def subscribed(layers: Sequence[Redis], topic: str, servers: int = 2) -> None:
    """Redis has as many subscribers of a topic: a server need not wait for that before it says that it has joined, and
    what is published before is lost.
    """
    channel = f"asgi__group__{group_of(topic)}"
    async with asyncio.timeout(PATIENCE):
        while sum(layer.subscribers(channel) for layer in layers) < servers:
            await asyncio.sleep(0.02)
