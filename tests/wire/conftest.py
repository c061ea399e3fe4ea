"""The servers that the raw frames are sent to: bare echoes, and the whole application with an echo mounted in it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.wire.client", "tests.wire.frames")

from tests.helpers import Server, running  # noqa: E402
from tests.wire.client import Everywhere, Target  # noqa: E402
from tests.wire.limits import BODY, HASTE, LIMIT  # noqa: E402

MOUNTED = "tests.mounted.settings"


class EchoServer(Server):
    """Nothing but frames: whatever the path, what comes goes back."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.wire.echo", f"tcp:port={self.port}:interface=127.0.0.1"]


class InterruptedServer(Server):
    """The same, but it lets go of a connection after every step of reading it, as if much else waited."""

    def command(self) -> list[str]:
        code = "import sys; from realtime_project import wire; wire.READING = 0; from tests.wire import echo; "
        code += "echo.serve(sys.argv[1:])"
        return [sys.executable, "-c", code, f"tcp:port={self.port}:interface=127.0.0.1"]


@pytest.fixture(scope="session")
def raw(servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("raw")
    with running(EchoServer(folder), servers) as server:
        yield Target(server.port, "/")


@pytest.fixture(scope="session")
def interrupted(servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running(InterruptedServer(tmp_path_factory.mktemp("interrupted")), servers) as server:
        yield Target(server.port, "/")


@pytest.fixture
def fresh(servers: list[Server], tmp_path: Path) -> Iterator[Server]:
    """A bare echo that has not done anything yet: what it grows by, the test has made it grow by."""
    with running(EchoServer(tmp_path), servers) as server:
        yield server


@pytest.fixture(scope="session")
def application(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project with an app of somebody else's, tests/mounted, in it."""
    folder = tmp_path_factory.mktemp("application")
    server = Server(
        folder, template, DJANGO_SETTINGS_MODULE=MOUNTED, WEBSOCKET_MAX_MESSAGE_SIZE=LIMIT, HTTP_MAX_BODY=BODY
    )
    with running(server, servers):
        yield server


@pytest.fixture(scope="session")
def hasty(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same in a hurry: WEBSOCKET_HANDSHAKE_TIMEOUT and WEBSOCKET_IDLE_TIMEOUT are HASTE seconds."""
    folder = tmp_path_factory.mktemp("hasty")
    server = Server(
        folder,
        template,
        DJANGO_SETTINGS_MODULE=MOUNTED,
        WEBSOCKET_HANDSHAKE_TIMEOUT=HASTE,
        WEBSOCKET_IDLE_TIMEOUT=HASTE,
    )
    with running(server, servers):
        yield server


@pytest.fixture(scope="session")
def mounted_echo(application: Server) -> Target:
    return Target(application.port, "/ws/polite/")


@pytest.fixture(scope="session")
def echo(raw: Target, interrupted: Target, mounted_echo: Target) -> Everywhere:
    """All echoes: the frames are the same whatever stands behind them."""
    return Everywhere({"bare": raw, "interrupted": interrupted, "application": mounted_echo})
