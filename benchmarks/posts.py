"""Posts: how many acknowledged posts a second on one connection to `ws/chat/` that keeps some in flight.

Nobody is subscribed. An acknowledged post is committed, and the database on a real disk.
"""

import json
import time

from .client import BrokenOff, Connection, Poller, masked
from .generator import Figures, Window, main

TEXT = "A message of a usual length, as people write them to one another."
PATIENCE = 30.0  # seconds that an ack may take


class Poster(Connection):
    """Posts again whenever one is acknowledged, until told to stop."""

    def __init__(self, cookie: str, room: str) -> None:
        super().__init__("/ws/chat/", cookie)
        self.room = room
        self.posted = self.acknowledged = 0
        self.posting = True

    def post(self) -> None:
        self.posted += 1
        command = {"type": "post", "room": self.room, "id": f"c-{self.posted}", "text": TEXT}
        self.send(masked(json.dumps(command).encode()))

    def arrived(self, payload: memoryview) -> None:
        reply = json.loads(bytes(payload))
        if reply["type"] == "error":
            raise ValueError(f"refused: {reply}")
        if reply["type"] == "ack":
            self.acknowledged += 1
            if self.posting:
                self.post()


def measure(
    port: int,
    server: int,
    cookie: str,
    room: str = "lobby",
    in_flight: int = 64,
    warm_up: float = 1,
    seconds: float = 5,
) -> Figures:
    """Acks a second, and how many there were in all, so that they can be compared with the database's rows."""
    poller, poster = Poller(), Poster(cookie, room)

    def turn() -> None:
        if not poller.turn(PATIENCE):
            raise BrokenOff(f"no ack within {PATIENCE:g} s")

    def go_on(until: float) -> None:
        while time.perf_counter() < until:
            turn()

    try:
        poller.open(port, [poster])
        for _ in range(in_flight):
            poster.post()
        go_on(time.perf_counter() + warm_up)
        window, before = Window([server]), poster.acknowledged
        go_on(time.perf_counter() + seconds)
        result = window.result(poster.acknowledged - before)
        poster.posting = False
        while poster.acknowledged < poster.posted:
            turn()
        return {**result, "acknowledged": poster.acknowledged}
    finally:
        poller.close()


if __name__ == "__main__":
    main(measure)
