"""The server whose actors the tests talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acted.reading import ACTED
from tests.helpers import Server, running


@pytest.fixture(scope="session")
def acted(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the tests' own actors, which many tests share."""
    with running(Server(tmp_path_factory.mktemp("acted"), template, **ACTED), servers) as shared:
        yield shared
