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

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Sequence[Event]] = asyncio.Queue()

    def write(self, events: Sequence[Event]) -> None:
        self.heard.put_nowait(events)

    async def drain(self) -> None:
        await self.heard.join()

    async def tell(self) -> None:
        """One after the other."""
        while True:
            await self._tell(await self.heard.get())
            self.heard.task_done()

    async def _tell(self, events: Sequence[Event]) -> None:
        """The loop turns in between: those it is told to may be thousands."""
        frames = Run([Event(protocol.announcement(str(event.content))) for event in events])
        async for connection in registry.crowd:
            if connection.mode == MODE:
                connection.write(frames)


async def tell() -> None:
    """Tell what is announced, as long as this process serves."""
    herald = Herald()
    subscription = await hub().subscribe(announcements.name, herald, durable=True)
    subscription.start()
    await herald.tell()
