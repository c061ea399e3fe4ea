"""Posts: how many acknowledged posts a second on one connection to `ws/chat/` that keeps some in flight.

Nobody is subscribed. An acknowledged post is committed: SQLite's `synchronous` is FULL and its file on a real disk.
"""

import asyncio
import json

from .client import Connection, masked
from .generator import Window, main

TEXT = "A message of a usual length, as people write them to one another."


class Poster(Connection):
    """Posts again whenever one is acknowledged, until told to stop."""

    def __init__(self, cookie: str, room: str) -> None:
        super().__init__("/ws/chat/", cookie)
        self.room = room
        self.posted = self.acknowledged = 0
        self.posting = True
        self.finished = asyncio.Event()

    def post(self) -> None:
        self.posted += 1
        command = {"type": "post", "room": self.room, "id": f"c-{self.posted}", "text": TEXT}
        self.send(masked(json.dumps(command).encode()))

    def arrived(self, payload: memoryview) -> None:
        reply = json.loads(bytes(payload))
        if reply["type"] == "error":
            raise ValueError(f"refused: {reply}")
        if reply["type"] != "ack":
            return
        self.acknowledged += 1
        if self.posting:
            self.post()
        elif self.acknowledged == self.posted:
            self.finished.set()


async def measure(
    port: int,
    server: int,
    cookie: str,
    room: str = "lobby",
    in_flight: int = 64,
    warm_up: float = 1,
    seconds: float = 5,
) -> dict[str, float]:
    """Acks a second, and how many there were in all, so that they can be compared with the database's rows."""
    poster = await Poster(cookie, room).open(port)
    try:
        for _ in range(in_flight):
            poster.post()
        await asyncio.sleep(warm_up)
        window = Window(server)
        before = poster.acknowledged
        await asyncio.sleep(seconds)
        result = window.result(poster.acknowledged - before)
        poster.posting = False
        async with asyncio.timeout(30):
            await poster.finished.wait()
        return result | {"acknowledged": poster.acknowledged}
    finally:
        poster.close()
        await asyncio.sleep(0)  # closing takes a turn of the loop


if __name__ == "__main__":
    main(measure)
