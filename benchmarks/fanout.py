"""Fan-out: how many deliveries a second when each message goes to every reader, with a few messages in flight.

A message is complete when all readers have it; then the next is published. The publisher is one of the readers.
"""

import asyncio
import json
from dataclasses import dataclass, field

from .client import Connection, masked
from .generator import Window, main

MESSAGE_SIZE = 128  # bytes of a message on the wire, its JSON included
OPENING = 40  # connections opened at a time: fewer than the servers' listen backlog
MESSAGE = json.dumps({"message": "x" * (MESSAGE_SIZE - len(json.dumps({"message": ""})))}).encode()


@dataclass
class Crowd:
    """What is in flight: for each message published, how many readers still wait for it."""

    size: int
    in_flight: int
    readers: "list[Reader]" = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    complete: int = 0
    round: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self) -> None:
        self.waiting.append(self.size)
        self.readers[0].send(FRAME)

    def completed(self) -> None:
        self.complete += 1
        if self.complete % self.in_flight == 0:
            self.round.set()
        self.publish()

    async def round_ends(self) -> None:
        """Messages in flight tend to arrive together: measured from round to round, none is counted by half."""
        self.round.clear()
        await self.round.wait()


FRAME = masked(MESSAGE)


class Reader(Connection):
    """Has one sender's messages in order: its n-th message is the n-th published."""

    def __init__(self, path: str, crowd: Crowd) -> None:
        super().__init__(path)
        self.crowd = crowd
        self.count = 0

    def arrived(self, payload: memoryview) -> None:
        crowd = self.crowd
        if len(payload) != MESSAGE_SIZE or (self.count == 0 and payload != MESSAGE):
            raise ValueError(f"not the message: {bytes(payload)!r}")
        left = crowd.waiting[self.count] - 1
        crowd.waiting[self.count] = left
        self.count += 1
        if not left:
            crowd.completed()


async def measure(
    port: int,
    server: int,
    path: str,
    readers: int = 1_000,
    in_flight: int = 4,
    warm_up: float = 2,
    seconds: float = 5,
    rounds: int = 10,
) -> dict[str, float]:
    """Deliveries a second, over `seconds` and `rounds` of `in_flight` messages at least."""
    crowd = Crowd(readers, in_flight)
    try:
        while len(crowd.readers) < readers:
            batch = min(OPENING, readers - len(crowd.readers))
            crowd.readers += await asyncio.gather(*(Reader(path, crowd).open(port) for _ in range(batch)))
        await asyncio.sleep(0.5)  # a subscription may follow the upgrade by a little
        for _ in range(in_flight):
            crowd.publish()
        await asyncio.sleep(warm_up)
        await crowd.round_ends()
        window, before = Window(server), crowd.complete
        while window.took < seconds or crowd.complete - before < rounds * in_flight:
            await crowd.round_ends()
        return window.result((crowd.complete - before) * readers)
    finally:
        for reader in crowd.readers:
            reader.close()
        await asyncio.sleep(0)  # closing takes a turn of the loop


if __name__ == "__main__":
    main(measure)
