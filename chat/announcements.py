"""What staff announce to everybody: each server tells its own people, with one frame made once.

The rule: who is connected now is told, once. What is announced while the channel layer is away arrives by the sweep.
"""

import asyncio
from collections.abc import Sequence

from realtime_project.control import announcements
from realtime_project.feeds import Event, Run
from realtime_project.registry import registry
from realtime_project.topics import hub

from . import protocol

MODE = "chat"  # the connections that speak protocol.py


class Herald:
    """The reader of the announcements in this process."""

    def write(self, events: Sequence[Event]) -> None:
        frames = Run([Event(protocol.announcement(str(event.content))) for event in events])
        for connection in list(registry.connections.values()):
            if connection.mode == MODE:
                connection.write(frames)

    async def drain(self) -> None:
        """Nothing waits."""


async def tell() -> None:
    """Tell what is announced, as long as this process serves."""
    subscription = await hub().subscribe(announcements.name, Herald(), durable=True)
    subscription.start()
    await asyncio.get_running_loop().create_future()  # until this process no longer serves
