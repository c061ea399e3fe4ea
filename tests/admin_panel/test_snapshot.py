"""The picture of the cluster: what it adds up, what it shows of a server that has gone silent, and of two servers."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from admin_panel import snapshot
from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from realtime_project.metrics import COUNTED, CURRENT, POINT, POINTS, STEP
from realtime_project.models import Server as ServerRow
from tests.helpers import PROJECT, ChatClient, Server, Socket, connect, guest

from .people import person

DASHBOARD = "ws/dashboard/"


def enter(id: str, age: float = 0.0, **figures: Any) -> None:
    rates = dict.fromkeys(COUNTED, 1.5)
    zero = dict.fromkeys((*CURRENT, *COUNTED), 0)
    ServerRow.objects.create(
        id=id,
        host="10.0.0.1",
        port=1,
        pid=2,
        version="3",
        seen_at=Now() - timedelta(seconds=age),
        figures={**zero, "rates": rates, "draining": False, "layer": True, **figures},
    )


@pytest.mark.django_db
def test_totals_are_added_up_and_times_are_those_of_the_slowest_server() -> None:
    enter("a", connections=3, requests=10, errors=1, latency_p99=4.5)
    enter("b", connections=4, requests=20, errors=0, latency_p99=9.25)
    totals = snapshot.picture(snapshot.read())["totals"]
    wanted = {"servers": 2, "connections": 7, "requests": 30, "errors": 1, "latency_p99": 9.25}
    assert {name: totals[name] for name in wanted} == wanted
    assert totals["rates"]["requests"] == 3.0


@pytest.mark.django_db
def test_a_silent_server_is_shown_as_stale_and_not_counted_until_its_lease_ends(settings: Any) -> None:
    settings.SERVER_LEASE = 10
    enter("here", connections=3)
    enter("silent", age=6, connections=4)
    enter("gone", age=11, connections=5)
    found = snapshot.picture(snapshot.read())
    assert {server["id"]: (server["stale"], server["connections"]) for server in found["servers"]} == {
        "here": (False, 3),
        "silent": (True, 4),
    }
    assert (found["totals"]["servers"], found["totals"]["connections"]) == (2, 3)


@pytest.mark.django_db
def test_the_last_picture_grows_stale_while_the_database_is_away() -> None:
    enter("a", connections=3)
    reports = snapshot.read()
    assert snapshot.picture(reports, answered=False)["servers"][0]["stale"] is False
    later = reports._replace(read_at=reports.read_at - 5)
    found = snapshot.picture(later, answered=False)
    assert found["database"] == {"ok": False, "latency_ms": None}
    assert found["servers"][0]["stale"] is True
    assert found["totals"]["connections"] == 0


@pytest.mark.django_db
def test_a_server_that_has_reported_nothing_yet_or_less_than_we_know_of_is_zero() -> None:
    ServerRow.objects.create(id="new", host="", pid=1, version="")
    ServerRow.objects.create(id="old", host="", pid=1, version="", figures={"connections": 2, "rates": {"opened": 1}})
    found = snapshot.picture(snapshot.read())
    assert [server["connections"] for server in found["servers"]] == [0, 2]
    assert found["totals"]["connections"] == 2
    assert found["totals"]["rates"]["opened"] == 1


@pytest.mark.django_db
def test_histories_are_added_up_by_their_time_and_need_one_query(django_assert_num_queries: Any) -> None:
    enter("a")
    enter("b")
    worst = POINT.index("lag_p99")

    def point(moment: int, connections: int, lag: float) -> list[float]:
        values = [0.0] * len(POINT)
        values[0], values[1], values[worst] = moment, connections, lag
        return values

    ServerRow.objects.filter(pk="a").update(history=[point(100, 1, 3), point(105, 2, 3)])
    ServerRow.objects.filter(pk="b").update(history=[point(105, 5, 1), point(110, 6, 1)])
    with django_assert_num_queries(1):
        history = snapshot.picture(snapshot.read(history=True))["history"]
    assert [(each["connections"], each["lag_p99"]) for each in history] == [(1, 3), (7, 3), (6, 1)]
    assert [each["time"].timestamp() for each in history] == [100, 105, 110]
    with django_assert_num_queries(1):
        assert "history" not in snapshot.picture(snapshot.read())


def test_every_number_of_the_dashboard_is_explained() -> None:
    scripts = PROJECT / "admin_panel" / "static" / "admin_panel"
    shown = [
        title
        for script in ("dashboard.js", "charts.js")
        for title in re.findall(r'^  \["([^"]+)", ', (scripts / script).read_text(), re.MULTILINE)
    ]
    assert len(shown) == 16 + 8
    rows = re.findall(r"^\|([^|]*)\| `(\w+)`(?:, `(\w+)`)? \|", (PROJECT / "docs/admin.md").read_text(), re.MULTILINE)
    explained = {title.strip() for titles, *_ in rows for title in titles.split(";")}
    assert set(shown) <= explained
    assert {*CURRENT, *COUNTED} <= {name for _, *names in rows for name in names}


# Two servers ----------------------------------------------------------------------------------------------------


async def until(socket: Socket, fits: Callable[[Any], object], seconds: float = 8.0) -> Any:
    """The first push that fits."""
    deadline = time.monotonic() + seconds
    while True:
        push = await socket.recv_json()
        if fits(push):
            return push
        assert time.monotonic() < deadline, push


@pytest.fixture
def two(tmp_path: Path, postgres: Postgres, redis: Redis, servers: list[Server]) -> Any:
    cluster = Cluster(tmp_path, postgres, [redis], f"dash{tmp_path.name[-8:]}", 2, SERVER_LEASE=8)
    servers.extend(cluster.servers)
    cluster.start()
    yield cluster
    cluster.stop()


UNTOUCHED = (
    "messages_in", "errors", "drops", "rate_limited", "slow_readers", "latency_p50", "latency_p99", "commits_waiting",
    "hub_waiting",
)  # fmt: skip


async def test_z50_z52_h38_the_dashboard_of_one_server_shows_both(two: Cluster) -> None:
    one, other = two.servers
    _, cookie = await asyncio.to_thread(person, one, True)
    ann = await asyncio.to_thread(guest, other)
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(connect(one.ws(DASHBOARD), cookie, origin=one.url))
        push = await until(watching, lambda push: push["totals"]["servers"] == 2 and push["layer"]["ok"])
        assert {server["port"] for server in push["servers"]} == {one.port, other.port}
        assert all(server["memory"] > 10_000_000 and not server["stale"] for server in push["servers"])
        assert {name: push["totals"][name] for name in UNTOUCHED} == dict.fromkeys(UNTOUCHED, 0)
        async with ChatClient(other, ann, origin=other.url) as chat:
            began = time.monotonic()
            await until(watching, lambda push: push["totals"]["connections"] == 2)
            assert time.monotonic() - began < 3.5  # two, on a busy machine
            await chat.subscribe("lobby")
            for number in range(20):
                await chat.post("lobby", str(number))
                await asyncio.sleep(0.06)  # over more than one beat: of two reports, one is seen
            push = await until(watching, lambda push: push["totals"]["rates"]["messages_in"] > 0)
            push = await until(watching, lambda push: push["totals"]["latency_p99"] > 0)
            assert push["totals"]["latency_p99"] >= push["totals"]["latency_p50"] > 0
            push = await until(watching, lambda push: push["totals"]["messages_in"] >= 21)
            assert push["totals"]["messages_out"] >= 41  # acks, events and the answer to the subscription
        push = await until(watching, lambda push: push["totals"]["connections"] == 1)
        assert push["totals"]["closed"] >= 1
        other.freeze_alone()
        try:
            push = await until(watching, lambda push: any(server["stale"] for server in push["servers"]))
            assert {server["port"] for server in push["servers"] if server["stale"]} == {other.port}
        finally:
            other.thaw()
        await until(watching, lambda push: not any(server["stale"] for server in push["servers"]))
        async with connect(other.ws("ws/asgi/echo/")):
            await until(watching, lambda push: push["totals"]["connections"] == 2)
            other.kill()
        push = await until(watching, lambda push: [server["port"] for server in push["servers"]] == [one.port], 14)
        assert push["totals"]["connections"] == 1, "its clients have gone with it"


async def test_history_is_there_for_the_first_who_watches(start_server: Callable[..., Server]) -> None:
    server = start_server()
    _, cookie = await asyncio.to_thread(person, server, True)
    kept = "from realtime_project.models import Server; print(json.dumps(Server.objects.get().history or []))"
    async with asyncio.timeout(3 * STEP):
        while not any(point[POINT.index("requests")] for point in await asyncio.to_thread(server.python, kept)):
            await asyncio.sleep(0.2)
    async with connect(server.ws(DASHBOARD), cookie, origin=server.url) as socket:
        first = await socket.recv_json()
    assert 1 <= len(first["history"]) <= POINTS
    assert set(first["history"][0]) == set(POINT)
    assert any(point["requests"] > 0 for point in first["history"])
