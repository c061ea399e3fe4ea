"""How long a fan-out holds the event loop at a stretch, by its own account (held/routing.py)."""

import json
from typing import Any

from .client import Connection, Poller
from .fanout import Crowd, Measurement, Mode, quiet
from .generator import Figures, main

SETTLING = 0.7  # seconds


class Held(Connection):
    """Is told, once, how long the loop was held since the last one asked."""

    def __init__(self) -> None:
        super().__init__("/held/")
        self.told: Figures = {}

    def arrived(self, payload: memoryview) -> None:
        self.told = json.loads(bytes(payload))


def measure(
    port: int, server: int, path: str, modes: list[dict[str, Any]], readers: int = 5_000, seconds: float = 4
) -> dict[str, Figures]:
    """By mode: deliveries a second, and of all stretches the longest, that with most processor time, and p99.9 (ms)."""
    crowd, poller = Crowd(path, readers, socketio=False), Poller()

    def held() -> Figures:
        asking = Held()
        poller.open(port, [asking])
        quiet(poller, SETTLING)
        poller.leave(asking)
        return asking.told

    try:
        poller.open(port, crowd.readers)
        quiet(poller, SETTLING)
        found = {}
        for mode in (Mode(**told) for told in modes):
            held()
            figures = Measurement(poller, crowd, [server]).run(mode, 0.5, seconds)
            found[mode.name] = {**figures, **held()}
        return found
    finally:
        poller.close()


if __name__ == "__main__":
    main(measure)
