"""Fan-out while staff watch: deliveries a second with some dashboards open and with none, by turns.

The readers stay connected, so that nothing differs but who watches; what is compared follows one on the other, in an
order that turns with each pair, so that a machine that slows down slows down both.
"""

import json
from statistics import median
from typing import Any

from .client import Connection, Poller
from .fanout import Crowd, Measurement, Mode, quiet
from .generator import Figures, main

SETTLING = 0.7  # seconds after somebody has come or gone
WITHOUT, WITH = "nobody watches", "three dashboards"


class Dashboard(Connection):
    """Takes the pictures of the cluster that come once a second."""

    def __init__(self, cookie: str) -> None:
        super().__init__("/ws/dashboard/", cookie)
        self.latencies: list[float] = []  # milliseconds that the database took for each picture

    def arrived(self, payload: memoryview) -> None:
        picture = json.loads(bytes(payload))
        self.latencies.append(picture["database"]["latency_ms"] or 0)


def measure(
    port: int,
    server: int,
    path: str,
    cookie: str,
    readers: int = 5_000,
    watchers: int = 3,
    in_flight: int = 4,
    pairs: int = 3,
    warm_up: float = 0.5,
    seconds: float = 4,
) -> dict[str, list[Figures]]:
    """By WITHOUT and WITH: the figures of each pair. Those of WITH have `pictures`, of one dashboard, and `asked`, the
    milliseconds that the database took for one, the median.
    """
    crowd, poller = Crowd(path, readers, socketio=False), Poller()
    mode = Mode(f"{in_flight} in flight", in_flight)
    found: dict[str, list[Figures]] = {WITHOUT: [], WITH: []}

    def run(dashboards: list[Dashboard]) -> Figures:
        poller.open(port, dashboards)
        quiet(poller, SETTLING)
        figures = Measurement(poller, crowd, [server]).run(mode, warm_up, seconds)
        if not dashboards:
            return figures
        latencies = [latency for each in dashboards for latency in each.latencies]
        for each in dashboards:
            poller.leave(each)
        return {**figures, "pictures": len(latencies) / len(dashboards), "asked": median(latencies)}

    try:
        poller.open(port, crowd.readers)
        for number in range(pairs):
            turns: list[tuple[str, Any]] = [(WITHOUT, 0), (WITH, watchers)]
            for name, count in turns if number % 2 == 0 else reversed(turns):
                found[name].append(run([Dashboard(cookie) for _ in range(count)]))
        return found
    finally:
        poller.close()


if __name__ == "__main__":
    main(measure)
