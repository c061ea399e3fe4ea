"""What is counted, what a server reports of it, and who may scrape it."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime_project import figures, metrics
from realtime_project.crowd import PART, Crowd
from realtime_project.figures import BOUNDS, Counters, ErrorCounter, Histogram
from realtime_project.hub import Hub
from realtime_project.metrics import COUNTED, CURRENT, POINT, POINTS, STEP, TOPICS, Meter
from tests.helpers import ChatClient, Server, browser, connect, guest, unique

# Counting -------------------------------------------------------------------------------------------------------


def test_a_histogram_that_saw_nothing_says_zero() -> None:
    assert Histogram().recent(0.99) == Histogram().recent(0.5) == 0


@pytest.mark.parametrize("seconds", [0.000_1, 0.001, 0.0047, 0.25, 3.0])
def test_a_quantile_is_true_within_a_fifth(seconds: float) -> None:
    histogram = Histogram()
    for _ in range(1_000):
        histogram.add(seconds)
    for share in (0.5, 0.99):
        if seconds >= BOUNDS[0]:
            assert histogram.recent(share) == pytest.approx(seconds, rel=0.42)
        assert histogram.recent(share) <= max(2**0.5 * seconds, BOUNDS[0])


def test_the_slowest_hundredth_is_seen_and_the_middle_is_not_moved_by_it() -> None:
    histogram = Histogram()
    for number in range(1_000):
        histogram.add(1.0 if number % 50 == 0 else 0.002)
    assert histogram.recent(0.99) > 0.7
    assert histogram.recent(0.5) < 0.003


def test_what_is_longer_than_the_last_bound_is_counted() -> None:
    histogram = Histogram()
    histogram.add(1e9)
    assert histogram.recent(0.99) == BOUNDS[-1]
    assert histogram.buckets[-1] == ("+Inf", 1.0)
    assert histogram.buckets[-2][1] == 0.0


def test_a_quantile_forgets_what_is_older_than_five_beats() -> None:
    histogram = Histogram()
    histogram.add(1.0)
    for _ in range(figures.RECENT - 1):
        histogram.mark()
        assert histogram.recent(0.5) > 0
    histogram.mark()
    assert histogram.recent(0.5) == 0
    assert sum(histogram.counts) == 1


def test_errors_are_counted_where_they_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "counters", counters := Counters())
    logger = logging.Logger("of-this-test")  # noqa: LOG001  # one of its own
    logger.addHandler(ErrorCounter())
    logger.warning("not this")
    logger.error("this")
    logger.critical("and this")
    assert counters.errors == 2


# Reports --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time as the meter sees it."""
    clock = SimpleNamespace(now=1_000_000.0, counters=Counters())
    monkeypatch.setattr(metrics, "counters", clock.counters)
    monkeypatch.setattr(metrics, "_told", dict.fromkeys(COUNTED, 0))
    monkeypatch.setattr(
        metrics,
        "time",
        SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now, process_time=lambda: clock.now / 4),
    )
    return clock


async def test_rates_are_what_was_counted_since_the_last_report(clock: SimpleNamespace) -> None:
    meter = Meter()
    for passed, requests in ((1, 3), (2, 8), (1, 0)):
        clock.now += passed
        clock.counters.requests += requests
        report = (await meter.report(draining=False))["figures"]
        assert report["rates"]["requests"] == requests / passed
        assert report["cpu"] == 25.0
    assert report["requests"] == 11
    assert set(report) == {*CURRENT, *COUNTED, "rates", "draining", "layer"}


async def test_a_report_and_its_history_are_bounded(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = {
        name: SimpleNamespace(name=name, passed=number, members=range(number), durable=False)
        for number, name in enumerate(f"{'n' * 195}{each}" for each in range(5_000))
    }
    monkeypatch.setattr(Hub, "here", SimpleNamespace(feeds=feeds, waiting=0, seats=[]))
    meter = Meter()
    histories = []
    for _ in range(STEP * (POINTS + 10)):
        clock.now += 1
        report = await meter.report(draining=True)
        histories += [report["history"]] if "history" in report else []
    assert len(histories) == POINTS + 10
    assert len(histories[-1]) == POINTS
    assert all(len(point) == len(POINT) for point in histories[-1])
    last = meter._topics(1.0)
    assert len(last) == TOPICS
    assert len(json.dumps(report["figures"])) < 2_000
    assert len(json.dumps(histories[-1])) < 20_000
    moments = [point[0] for point in histories[-1]]
    assert moments == list(range(moments[0], moments[0] + POINTS * STEP, STEP))


async def test_who_ends_while_it_is_added_up_is_counted_once_and_nothing_backwards(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = {"messages_in": 1, "messages_out": 2, "bytes_in": 3, "bytes_out": 4}

    class Counted:
        def __init__(self) -> None:
            vars(self).update(each)

    connections = [cast(Any, Counted()) for _ in range(3 * PART)]
    crowd = Crowd(connections)
    monkeypatch.setattr(metrics, "registry", SimpleNamespace(crowd=crowd))
    whole = {name: count * len(connections) for name, count in each.items()}
    assert await metrics.totals() == dict.fromkeys(COUNTED, 0) | whole
    adding = asyncio.create_task(metrics.totals())
    await asyncio.sleep(0)
    for one in (connections[0], connections[-1]):  # one that was added up already, and one that will not be
        crowd.discard(one)
        clock.counters.ended(one)
    assert await adding == dict.fromkeys(COUNTED, 0) | whole, "and not less, though one was missed"
    assert await metrics.totals() == dict.fromkeys(COUNTED, 0) | whole | {"closed": 2}


def test_the_busiest_topics_are_reported_and_orders_are_not(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = {
        name: SimpleNamespace(name=name, passed=0, members=range(members), durable=name == "kept")
        for name, members in (("kept", 2), ("quiet\0", 9), ("control:abc", 1))
    }
    monkeypatch.setattr(Hub, "here", SimpleNamespace(feeds=feeds, waiting=0, seats=[]))
    meter = Meter()
    meter._topics(5.0)
    feeds["kept"].passed += 10
    assert meter._topics(5.0) == [
        {"name": "kept", "durable": True, "subscribers": 2, "rate": 2.0},
        {"name": r"quiet\0", "durable": False, "subscribers": 9, "rate": 0.0},
    ]


# A server -------------------------------------------------------------------------------------------------------


def scrape(server: Server, **options: Any) -> httpx.Response:
    with browser(server.url) as asking:
        return asking.get("/metrics", **options)


def values(text: str) -> dict[str, float]:
    """Name and labels → value, as Prometheus' own parser reads them."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(server: Server, fits: Callable[[dict[str, float]], object]) -> dict[str, float]:
    deadline = time.monotonic() + 8
    while True:
        found = values((await asyncio.to_thread(scrape, server)).text)
        if fits(found):
            return found
        assert time.monotonic() < deadline, found


async def test_what_happens_is_counted(own_server: Server) -> None:
    before = values(scrape(own_server).text)
    assert before["realtime_errors_total"] == before["realtime_opened_total"] == 0
    cookie = await asyncio.to_thread(guest, own_server)
    async with ChatClient(own_server, cookie, origin=own_server.url) as ann, connect(own_server.ws("ws/echo/")):
        await ann.subscribe("lobby")
        for number in range(10):
            await ann.post("lobby", f"{number}")
        found = await scraped(own_server, lambda found: found["realtime_post_seconds_count"] == 10)
        assert found["realtime_connections endpoint=/ws/chat/"] == 1
        assert found["realtime_connections endpoint=/ws/echo/"] == 1
        assert found["realtime_opened_total"] == 2
        assert found["realtime_messages_in_total"] == 11
        assert found["realtime_messages_out_total"] >= 22  # "welcome!", the subscription, acks and events
        assert found["realtime_writes_total"] == 10
        assert found["realtime_layer_hears layer=0"] == 1
        assert found["realtime_requests_total"] > before["realtime_requests_total"]
        assert found["process_resident_memory_bytes"] > 10_000_000
        assert found["realtime_loop_lag_seconds_count"] > 0
    gone = await scraped(own_server, lambda found: found["realtime_closed_total"] == 2)
    assert gone["realtime_connections endpoint=/ws/chat/"] == 0
    assert gone["realtime_messages_in_total"] == 11, "what has ended still counts"


async def test_who_is_too_fast_is_counted(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_RATE=1, WEBSOCKET_BURST=2)
    cookie = await asyncio.to_thread(guest, server)
    async with ChatClient(server, cookie, origin=server.url) as ann:
        for _ in range(6):
            await ann.send(type="typing", room="lobby", id=unique("c"))
        await scraped(server, lambda found: found["realtime_rate_limited_total"] >= 3)


async def test_a_slow_reader_is_counted(start_server: Callable[..., Server]) -> None:
    server = start_server(WEBSOCKET_MAX_BUFFER=20_000)
    async with connect(server.ws("ws/broadcast/"), max_queue=1) as slow, connect(server.ws("ws/broadcast/")) as fast:
        slow.transport.pause_reading()
        for _ in range(400):
            await fast.send("x" * 50_000)
            await fast.recv()
        found = await scraped(server, lambda found: found["realtime_slow_readers_total"] == 1)
        assert found["realtime_errors_total"] == 0


# Who may --------------------------------------------------------------------------------------------------------


def asked(address: str, authorization: str | None = None) -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return SimpleNamespace(headers=headers, META={"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    ("authorization", "may"),
    [
        ("Bearer s3cret", True),
        ("bearer s3cret", False),
        ("Bearer s3cre", False),
        ("Bearer s3crett", False),
        ("Bearer ", False),
        ("Basic s3cret", False),
        ("Bearer żółw", False),
        ("", False),
        (None, False),
    ],
)
def test_a_token_lets_in_whoever_has_it(settings: Any, authorization: str | None, may: bool) -> None:
    settings.METRICS_TOKEN, settings.METRICS_ALLOW = "s3cret", []
    assert metrics.may_read(asked("203.0.113.7", authorization)) is may


def test_no_token_is_no_password(settings: Any) -> None:
    settings.METRICS_TOKEN, settings.METRICS_ALLOW = "", []
    for authorization in (None, "", "Bearer ", "Bearer"):
        assert not metrics.may_read(asked("127.0.0.1", authorization))


def test_addresses_may_be_let_in(settings: Any) -> None:
    from realtime_project.settings import networks

    settings.METRICS_TOKEN, settings.METRICS_ALLOW = "", networks("METRICS_ALLOW_OF_THIS_TEST", "10.0.0.0/8, ::1")
    assert metrics.may_read(asked("10.1.2.3"))
    assert metrics.may_read(asked("::1"))
    for other in ("11.1.2.3", "127.0.0.1", "", "unknown", "::2"):
        assert not metrics.may_read(asked(other))


def test_production_lets_nobody_in_unless_told(start_server: Callable[..., Server]) -> None:
    told = {"DEBUG": 0, "ALLOWED_HOSTS": "127.0.0.1", "ALLOWED_ORIGINS": "http://127.0.0.1", "SECURE_COOKIES": 0}
    server = start_server(METRICS_TOKEN="s3cret", **told)
    assert scrape(server).status_code == 404
    assert scrape(server, headers={"Authorization": "Bearer guess"}).status_code == 404
    # One that the proxy would add says nothing.
    assert scrape(server, headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 404
    shown = scrape(server, headers={"Authorization": "Bearer s3cret"})
    assert shown.status_code == 200
    assert shown.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-store" in shown.headers["Cache-Control"]
    assert values(shown.text)["realtime_opened_total"] == 0
    assert "s3cret" not in server.log()
