"""/healthz and /readyz: alive is not ready, and what is missing is named."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.helpers import PATIENCE, Server, browser, connect


def ask(server: Server, path: str = "readyz") -> tuple[int, Any]:
    with browser(server.url) as asking:
        answer = asking.get(f"/{path}")
    assert "no-store" in answer.headers["cache-control"]
    return answer.status_code, answer.json()


async def until(server: Server, status: int, patience: float = 15) -> Any:
    """What is said as soon as the status is this one."""
    deadline = time.monotonic() + patience
    while (answer := await asyncio.to_thread(ask, server))[0] != status:
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)
    return answer[1]


async def test_a_server_is_alive_and_soon_ready(start_server: Callable[..., Server]) -> None:
    server = start_server()
    assert ask(server, "healthz") == (200, {"alive": True})
    assert await until(server, 200) == {"ready": True, "missing": []}


async def test_redis_away_at_the_start_delays_readiness_and_not_the_start(
    postgres: Postgres, servers: list[Server], tmp_path: Path
) -> None:
    layers = [Redis(), Redis()]
    layers[0].start()
    cluster = Cluster(tmp_path, postgres, layers, "unready", 1, DJANGO_SETTINGS_MODULE="tests.mounted.settings")
    servers.extend(cluster.servers)
    cluster.start()
    [server] = cluster.servers
    try:
        async with connect(server.ws("ws/polite/")) as socket:
            await socket.send("served all the same")
            assert await socket.recv() == "served all the same"
        assert ask(server, "healthz") == (200, {"alive": True})
        away = {"ready": False, "missing": ["channel layer 1 does not answer"]}
        deadline = time.monotonic() + PATIENCE
        while (said := await until(server, 503)) != away:
            assert time.monotonic() < deadline, said
        layers[1].start()
        await until(server, 200)
        layers[0].kill()
        assert await until(server, 503) == {"ready": False, "missing": ["channel layer 0 does not answer"]}
        layers[0].start()
        await until(server, 200)
    finally:
        cluster.stop()
        for layer in layers:
            layer.kill()


@pytest.mark.logs_errors
async def test_a_database_that_is_away_is_named(postgres_data: Path, servers: list[Server], tmp_path: Path) -> None:
    own = Postgres(postgres_data)
    own.start()
    redis = Redis()
    redis.start()
    cluster = Cluster(tmp_path, own, [redis], "gone", 1)
    servers.extend(cluster.servers)
    cluster.start()
    [server] = cluster.servers
    try:
        await until(server, 200)
        await asyncio.to_thread(own.stop)
        assert "the database does not answer" in (await until(server, 503))["missing"]
        assert ask(server, "healthz") == (200, {"alive": True})
        await asyncio.to_thread(own.start)
        await until(server, 200, 30)
    finally:
        cluster.stop()
        redis.kill()
        own.remove()


async def test_a_server_that_drains_is_not_ready(start_server: Callable[..., Server]) -> None:
    server = start_server(DJANGO_SETTINGS_MODULE="tests.mounted.settings", WEBSOCKET_DRAIN=4)
    await until(server, 200)
    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False) as asking,
        connect(server.ws("ws/stubborn/")) as socket,
    ):
        assert (await asking.get("/readyz")).status_code == 200  # a connection that stays open
        server.signal(signal.SIGTERM)
        assert (await socket.closed())[0] == 1012
        answer = await asking.get("/readyz")
        assert (answer.status_code, answer.json()) == (
            503,
            {"ready": False, "missing": ["this server is draining"]},
        )
    assert await asyncio.to_thread(server.wait) == 0
