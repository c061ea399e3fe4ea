"""The server that these tests share beside the common one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import Server


@pytest.fixture(scope="session")
def mounted(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an app of somebody else's beside the chat."""
    running = Server(tmp_path_factory.mktemp("mounted"), template, DJANGO_SETTINGS_MODULE="tests.mounted.settings")
    servers.append(running)
    running.start()
    yield running
    running.stop()
