"""Echo: how many round trips a second over some connections, each with one message under way."""

import json
import time

from .client import BrokenOff, Connection, Poller, buffer, frame, masked, packet
from .fanout import TEXT
from .generator import Figures, Window, main

PATIENCE = 10.0  # seconds that an echo may take


class Echoed(Connection):
    """Sends again as soon as the echo has come whole."""

    def __init__(self, path: str, prefix: str, socketio: bool) -> None:
        super().__init__(path, socketio=socketio)
        message = packet("echo", TEXT) if socketio else json.dumps({"message": TEXT}).encode()
        self.expected = frame(prefix.encode() + message)
        self.to_send = masked(message)
        self.count = 0

    def readable(self) -> None:
        size = self.receive()
        if self.count and not self._rest and buffer[:size] == self.expected:
            self.count += 1
            self.send(self.to_send)
        else:
            self.take(buffer[:size])

    def arrived(self, payload: memoryview) -> None:
        if frame(bytes(payload)) != self.expected:
            raise ValueError(f"not the echo: {bytes(payload)!r}")
        self.count += 1
        self.send(self.to_send)


def measure(
    port: int,
    server: int,
    path: str,
    prefix: str = "",
    connections: int = 50,
    socketio: bool = False,
    warm_up: float = 0.5,
    seconds: float = 2,
) -> Figures:
    """Round trips a second. `prefix` is what the server puts before what it was sent."""
    poller = Poller()
    clients = [Echoed(path, prefix, socketio) for _ in range(connections)]

    def go_on(until: float) -> None:
        while time.perf_counter() < until:
            if not poller.turn(PATIENCE):
                raise BrokenOff(f"no echo within {PATIENCE:g} s")

    try:
        poller.open(port, clients)
        for each in clients:
            each.send(each.to_send)
        go_on(time.perf_counter() + warm_up)
        window, before = Window([server]), sum(each.count for each in clients)
        go_on(time.perf_counter() + seconds)
        return window.result(sum(each.count for each in clients) - before)
    finally:
        poller.close()


if __name__ == "__main__":
    main(measure)
