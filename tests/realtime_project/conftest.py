"""The servers that these tests share beside the common one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.helpers import Server, running


@pytest.fixture(scope="session")
def mounted(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an app of somebody else's beside the chat."""
    own = Server(tmp_path_factory.mktemp("mounted"), template, DJANGO_SETTINGS_MODULE="tests.mounted.settings")
    with running(own, servers) as shared:
        yield shared


@pytest.fixture(scope="session")
def pair(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Two servers that these tests share."""
    settings: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "tests.mounted.settings", "WEBSOCKET_RATE": 0}
    cluster = Cluster(tmp_path_factory.mktemp("pair"), postgres, [redis], "pair", 2, **settings)
    servers.extend(cluster.servers)
    cluster.start()
    yield cluster
    cluster.stop()
