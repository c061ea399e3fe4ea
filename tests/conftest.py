"""Fixtures: real servers, a real browser, and a database file for what runs in process.

A test that used a server fails when that server logged a traceback meanwhile, whatever else the test looked at.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.helpers")

from benchmarks.cluster import make_template as make_cluster_template  # noqa: E402
from benchmarks.services import Postgres, Redis  # noqa: E402
from tests.helpers import TRACEBACK, Server, make_template  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright leaves an event loop running in the main thread, and async tests need it free."""
    for item in items:
        if "browser" in Path(item.fspath).relative_to(Path(__file__).parent).parts:
            item.add_marker("browser")
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


# The database of tests in process -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file: SQLite's shared-memory database answers a second thread with "table is locked", whatever the timeout."""
    from django.db import connection

    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


# Servers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that every server starts from a copy of."""
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def servers() -> list[Server]:
    """Every server that was started, for the watch over their logs."""
    return []


@pytest.fixture(scope="session")
def server(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share: do not stop it, and use names of your own."""
    shared = Server(tmp_path_factory.mktemp("server"), template)
    servers.append(shared)
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def start_server(template: Path, servers: list[Server], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers for one test: `start_server(WEBSOCKET_RATE=0)`, `start_server("--ping-interval", "1")`."""
    mine: list[Server] = []
    numbers = itertools.count(1)

    def start(*options: str, database: Path | None = None, **settings: object) -> Server:
        folder = tmp_path / f"server{next(numbers)}"
        folder.mkdir()
        fresh = Server(folder, template, database, **settings)
        fresh.options = options
        mine.append(fresh)
        servers.append(fresh)
        return fresh.start()

    yield start
    for started in mine:
        if started.process:
            started.stop()


@pytest.fixture
def own_server(start_server: Callable[..., Server]) -> Server:
    """A server for this test alone, to stop, kill and restart."""
    return start_server()


@pytest.fixture(autouse=True)
def no_traceback_in_a_log(request: pytest.FixtureRequest, servers: list[Server]) -> Iterator[None]:
    read = {server: len(server.log()) for server in servers}
    yield
    if request.node.get_closest_marker("logs_errors"):
        return
    for server in servers:
        log = server.log()[read.get(server, 0) :]
        if TRACEBACK in log:
            pytest.fail(f"the server on port {server.port} logged a traceback:\n{log[-6000:]}", pytrace=False)


# What several servers share -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own, with a template to copy databases from."""
    running = Postgres()
    running.start()
    make_cluster_template(running)
    yield running
    running.remove()


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis that most tests share: do not stop it."""
    running = Redis()
    running.start()
    yield running
    running.kill()


# The browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, silent but for what the tests do."""
    assert CHROMIUM, "no chromium, chromium-browser or google-chrome found: `make test` installs it"
    quiet = ("gpu", "background-networking", "component-update", "sync")
    flags = [*(f"--disable-{what}" for what in quiet), "--no-first-run"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses to sandbox for root
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": flags}
