"""What this process reports: to the other servers, with each beat of the registry, and to Prometheus, when it asks.

The rule: everything is read when it is wanted, from what is counted anyway. A report is bounded, whatever happens.
"""

from __future__ import annotations

import asyncio
import heapq
import hmac
import ipaddress
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from . import __version__, figures
from .commits import Commits
from .control import PREFIX as CONTROL
from .figures import counters
from .hub import Hub
from .registry import registry
from .texts import storable
from .topics import NAME

TICK = 0.05  # seconds between two looks at how late the loop is
STEP = 5  # seconds of a point of the history
POINTS = 60  # five minutes
TOPICS = 30  # the busiest that are reported

# Counted since the server began, and told a second as `rates`.
COUNTED = (
    "opened", "closed", "messages_in", "messages_out", "bytes_in", "bytes_out",
    "requests", "errors", "drops", "rate_limited", "slow_readers",
)  # fmt: skip
CURRENT = (  # as they are now: counts, bytes, per cent of a core, and milliseconds
    "connections", "commits_waiting", "hub_waiting", "memory", "cpu",
    "latency_p50", "latency_p99", "lag_p50", "lag_p99",
)  # fmt: skip
POINT = ("time", *CURRENT, *COUNTED)  # what the numbers of a point of the history are; those of COUNTED a second

_told = dict.fromkeys(COUNTED, 0)  # the last totals


async def totals() -> dict[str, int]:
    """COUNTED, since this process began. The loop turns in between, so that thousands of connections hold nobody up.

    Whoever ends before they are reached is counted the next time; nothing ever counts backwards.
    """
    found = _of_those_that_ended()
    async for connection in registry.crowd:
        found["messages_in"] += connection.messages_in
        found["messages_out"] += connection.messages_out
        found["bytes_in"] += connection.bytes_in
        found["bytes_out"] += connection.bytes_out
    for name, count in found.items():
        _told[name] = max(count, _told[name])
    return dict(_told)


def _of_those_that_ended() -> dict[str, int]:
    return {name: getattr(counters, name) for name in COUNTED}


def hears() -> bool:
    """Whether what is sent through every channel layer arrives here, as far as is known."""
    return Hub.here is not None and all(seat.hears for seat in Hub.here.seats)


class Meter:
    """Makes the reports of one process, one a beat."""

    def __init__(self) -> None:
        self._before, self._at, self._cpu = _of_those_that_ended(), time.monotonic(), time.process_time()
        self._slot, self._slot_before, self._slot_at = int(time.time()) // STEP, self._before, self._at
        self._points: deque[list[float]] = deque(maxlen=POINTS)
        self._passed: dict[str, int] = {}  # topic → its events when they were last reported

    async def report(self, draining: bool) -> dict[str, Any]:
        """The columns of this server's row: `figures`, and with every STEP seconds `history` and `topics`."""
        connections = len(registry.connections)  # of the same moment as how many have closed
        now, at, cpu = await totals(), time.monotonic(), time.process_time()
        passed = max(at - self._at, 0.001)
        current = {"connections": connections} | self._current(cpu=round(100 * (cpu - self._cpu) / passed, 1))
        rates = _rates(self._before, now, passed)
        self._before, self._at, self._cpu = now, at, cpu
        columns: dict[str, Any] = {
            "figures": {**current, **now, "rates": rates, "draining": draining, "layer": hears()}
        }
        slot = int(time.time()) // STEP
        if slot != self._slot:
            passed = max(at - self._slot_at, 0.001)
            mean = _rates(self._slot_before, now, passed)
            point = {"time": self._slot * STEP} | current | mean
            self._points.append([point[name] for name in POINT])
            self._slot, self._slot_before, self._slot_at = slot, now, at
            columns["history"] = list(self._points)
            columns["topics"] = self._topics(passed)
        return columns

    def _current(self, cpu: float) -> dict[str, float]:
        (latency_p50, latency_p99), (lag_p50, lag_p99) = (
            [round(1000 * histogram.recent(share), 2) for share in (0.5, 0.99)]
            for histogram in (figures.posts, figures.lag)
        )
        figures.posts.mark()
        figures.lag.mark()
        return {
            "commits_waiting": Commits.here.waiting if Commits.here else 0,
            "hub_waiting": Hub.here.waiting if Hub.here else 0,
            "memory": figures.memory(),
            "cpu": cpu,
            "latency_p50": latency_p50,
            "latency_p99": latency_p99,
            "lag_p50": lag_p50,
            "lag_p99": lag_p99,
        }

    def _topics(self, passed: float) -> list[dict[str, Any]]:
        """The busiest topics: [{"name", "durable", "subscribers", "rate": events a second}]. Clients name some."""
        feeds = [feed for name, feed in (Hub.here.feeds if Hub.here else {}).items() if not name.startswith(CONTROL)]
        before, self._passed = self._passed, {feed.name: feed.passed for feed in feeds}
        rows = (
            (max(0, feed.passed - before.get(feed.name, 0)), len(feed.members), feed.name, feed.durable)
            for feed in feeds
        )
        return [
            {
                "name": storable(name, NAME),
                "durable": durable,
                "subscribers": subscribers,
                "rate": round(events / passed, 1),
            }
            for events, subscribers, name, durable in heapq.nlargest(TOPICS, rows)
        ]


def _rates(before: Mapping[str, int], now: Mapping[str, int], passed: float) -> dict[str, float]:
    return {name: round((now[name] - before[name]) / passed, 1) for name in COUNTED}


async def feel_lag() -> None:
    """See how late the loop is, for as long as this process serves."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(TICK)
        figures.lag.add(max(0.0, loop.time() - began - TICK))


# Prometheus -----------------------------------------------------------------------------------------------------
class House(Collector):
    """Reads what is counted, and what totals() has told last. To be asked from the loop that serves."""

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        version = GaugeMetricFamily("realtime_version", "1, with the version that runs", labels=["version"])
        version.add_metric([__version__], 1)
        yield version
        open_now = GaugeMetricFamily("realtime_connections", "WebSockets that are open", labels=["endpoint"])
        for endpoint, count in registry.endpoints.items():
            open_now.add_metric([endpoint], count)
        yield open_now
        for name, value in _told.items():
            yield CounterMetricFamily(f"realtime_{name}", HELP[name], value=value)
        for name, help, histogram in HISTOGRAMS:
            yield HistogramMetricFamily(name, help, buckets=histogram.buckets, sum_value=histogram.sum)
        commits, hub = Commits.here, Hub.here
        yield GaugeMetricFamily("realtime_commits_waiting", "Writes that wait", value=commits.waiting if commits else 0)
        yield CounterMetricFamily("realtime_commits", "Lists committed", value=commits.lists if commits else 0)
        yield CounterMetricFamily("realtime_writes", "Writes in these lists", value=commits.items if commits else 0)
        yield GaugeMetricFamily(
            "realtime_hub_waiting", "Events that wait for the channel layer", value=hub.waiting if hub else 0
        )
        yield GaugeMetricFamily("realtime_topics", "Topics with readers here", value=len(hub.feeds) if hub else 0)
        heard = GaugeMetricFamily("realtime_layer_hears", "1 where a channel layer is heard", labels=["layer"])
        seats = CounterMetricFamily("realtime_layer_reseats", "New seats taken at a layer", labels=["layer"])
        for seat in hub.seats if hub else ():
            heard.add_metric([str(seat.number)], seat.hears)
            seats.add_metric([str(seat.number)], seat.reseats)
        yield heard
        yield seats


HELP = {
    "opened": "WebSockets accepted",
    "closed": "WebSockets that have ended",
    "messages_in": "Messages received",
    "messages_out": "Messages delivered to clients",
    "bytes_in": "Bytes of messages received",
    "bytes_out": "Bytes of messages delivered to clients",
    "requests": "HTTP requests",
    "errors": "Errors logged",
    "drops": "Messages dropped",
    "rate_limited": "Messages refused or held back for being too fast",
    "slow_readers": "WebSockets closed for reading too slowly",
}
HISTOGRAMS = (
    ("realtime_post_seconds", "From taking a post to its acknowledgement", figures.posts),
    ("realtime_loop_lag_seconds", "How late the event loop was", figures.lag),
)

_collectors = CollectorRegistry()
_collectors.register(House())
ProcessCollector(registry=_collectors)


async def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    await totals()
    return generate_latest(_collectors)


def may_read(request: HttpRequest) -> bool:
    """Whether a request shows METRICS_TOKEN, or comes from one of METRICS_ALLOW."""
    token = settings.METRICS_TOKEN
    if token:
        shown = request.headers.get("Authorization", "")
        if hmac.compare_digest(shown.encode(), f"Bearer {token}".encode()):
            return True
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a unix socket has none
        return False
    return any(address in network for network in settings.METRICS_ALLOW)
