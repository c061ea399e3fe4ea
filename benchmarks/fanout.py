"""Fan-out: how many deliveries a second when each message goes to every reader.

Two ways to publish. With some in flight, the next message follows when all readers have the first; in bursts, as many
are sent at once as soon as all readers have all of the last burst. The publisher is one of the readers.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from .client import Connection, Poller, buffer, frame, masked, packet
from .generator import Figures, Window, family, main, memory

SIZE = 128  # bytes of a message on the wire, its JSON included
TEXT = "x" * (SIZE - len(json.dumps({"message": ""})))
LONGEST = 60.0  # seconds for what is in flight to reach all, of whoever is slow; bursts get as long as is measured
SILENCE = 1.5  # seconds without a delivery while the server does nothing: what is missing will not come
SILENCES = 10  # times as long as is measured, all silences together
RESTING = 0.2  # share of a core below which a server does nothing


@dataclass
class Mode:
    """So many messages in flight, all replaced at once (`bursts`) or one by one."""

    name: str
    in_flight: int
    bursts: bool = False


class Crowd:
    """All readers, and for each number of messages how many readers have exactly so many."""

    def __init__(self, path: str, readers: int, socketio: bool) -> None:
        message = packet("message", TEXT) if socketio else json.dumps({"message": TEXT}).encode()
        self.expected = frame(message)
        self.to_send = masked(message)
        self.having = [readers]
        self.published = self.complete = self.delivered = self.lost = 0
        self.mode = Mode("none", 0)
        self.arrived_at = 0.0
        self.readers = [Reader(path, self, socketio) for _ in range(readers)]

    def publish(self, count: int) -> None:
        if count <= 0:
            return
        self.published += count
        self.having += [0] * count
        self.readers[0].send(self.to_send * count)

    def begin(self, mode: Mode) -> None:
        self.mode = mode
        self.publish(mode.in_flight)

    def moved(self, had: int, has: int) -> None:
        """A reader has got some more."""
        having = self.having
        if has > self.published:
            raise ValueError("more messages came than were published")
        having[had] -= 1
        having[has] += 1
        self.delivered += has - had
        if had == self.complete and not having[had]:
            self._completed()

    def _completed(self) -> None:
        before = self.complete
        while self.complete < self.published and not self.having[self.complete]:
            self.complete += 1
        if not self.mode.bursts:
            self.publish(min(self.complete - before, self.mode.in_flight - (self.published - self.complete)))
        elif self.complete == self.published:
            self.publish(self.mode.in_flight)

    def give_up(self) -> None:
        """What has not come is lost: all begin again with what was published so far."""
        self.lost += sum(self.published - reader.count for reader in self.readers)
        for reader in self.readers:
            reader.count = self.published
        self.having = [0] * self.published + [len(self.readers)]
        self.complete = self.published
        self.publish(self.mode.in_flight)


class Reader(Connection):
    """Counts frames of the one size there is. Has one sender's messages in order."""

    def __init__(self, path: str, crowd: Crowd, socketio: bool = False) -> None:
        super().__init__(path, socketio=socketio)
        self._expected, self._moved = crowd.expected, crowd.moved
        self._size, self._first = len(crowd.expected), crowd.expected[0]
        self.count = 0

    def readable(self) -> None:
        size = self.receive()
        frames, rest = divmod(size, self._size)
        if rest or not self.count or self._rest or buffer[0] != self._first or size == len(buffer):
            self.take(buffer[:size])
            if size == len(buffer):
                self.readable()
        else:
            had = self.count
            self.count = has = had + frames
            self._moved(had, has)

    def arrived(self, payload: memoryview) -> None:
        if frame(bytes(payload)) != self._expected:
            raise ValueError(f"not the message: {bytes(payload)!r}")
        self.count += 1
        self._moved(self.count - 1, self.count)


@dataclass
class Measurement:
    """One mode, measured on a crowd."""

    poller: Poller
    crowd: Crowd
    servers: list[int]

    def run(self, mode: Mode, warm_up: float, seconds: float) -> Figures:
        """Deliveries a second, from one round's end to another's where rounds are short enough.

        `lost` is the share that never came, `published` all messages, those of the warm-up included.
        """
        crowd, already = self.crowd, self.crowd.published
        longest = seconds if mode.bursts else LONGEST
        crowd.begin(mode)
        self._go_on(Window(self.servers), warm_up, warm_up + longest)
        before, lost, window = crowd.delivered, crowd.lost, Window(self.servers)
        self._go_on(window, seconds, seconds + longest)
        delivered, missing = crowd.delivered - before, crowd.lost - lost
        result = window.result(delivered)
        crowd.mode = Mode("none", 0)
        self._settle()
        lost_share = missing / (delivered + missing) if missing else 0.0
        return {**result, "lost": lost_share, "published": crowd.published - already}

    def _go_on(self, window: Window, at_least: float, at_most: float) -> None:
        """Until a round ends after the one, or until the other; with silences, not for ever."""
        crowd, ended = self.crowd, -1
        while (took := window.took) < at_most and window.idle < SILENCES * at_least:
            if took >= at_least:
                if ended < 0:
                    ended = self._rounds()
                elif self._rounds() > ended:
                    return
            if not self._turn():
                window.idle += time.perf_counter() - crowd.arrived_at
                crowd.give_up()

    def _rounds(self) -> int:
        return self.crowd.complete // self.crowd.mode.in_flight

    def _turn(self) -> bool:
        """Take what comes; False when what is still missing is lost."""
        if not self.poller.turn(SILENCE):
            watching = Window(self.servers)
            while not self.poller.turn(SILENCE):
                if watching.served() < RESTING * SILENCE:
                    return False
                watching = Window(self.servers)
        self.crowd.arrived_at = time.perf_counter()
        return True

    def _settle(self) -> None:
        """What is in flight arrives; bursts that a slow server has not finished are not waited for."""
        deadline = time.perf_counter() + 3
        while self.crowd.complete < self.crowd.published and time.perf_counter() < deadline:
            if not self.poller.turn(SILENCE):
                break


def measure(
    ports: list[int],
    servers: list[int],
    path: str,
    modes: list[dict[str, Any]],
    readers: int = 1_000,
    socketio: bool = False,
    warm_up: float = 0.5,
    seconds: float = 2,
) -> dict[str, Figures]:
    """Of each mode the deliveries a second; and, as `opening`, connections a second and bytes of memory each."""
    crowd, poller = Crowd(path, readers, socketio), Poller()
    try:
        opening, before = Window(servers), memory(pid for server in servers for pid in family(server))
        for number, port in enumerate(ports):
            poller.open(port, crowd.readers[number :: len(ports)])
        figures = {"opening": opening.result(readers)}
        quiet(poller, 0.7)  # a subscription may follow the upgrade by a little
        after = memory(pid for server in servers for pid in family(server))
        figures["opening"]["bytes"] = (after - before) / readers
        for mode in (Mode(**told) for told in modes):
            figures[mode.name] = Measurement(poller, crowd, servers).run(mode, warm_up, seconds)
        return figures
    finally:
        poller.close()


def quiet(poller: Poller, seconds: float) -> None:
    """Let so much time pass; only pings may come."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        poller.turn(left)


if __name__ == "__main__":
    main(measure)
