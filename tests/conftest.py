"""Fixtures: real servers, a real browser, and a database file for what runs in process.

A test that used a server fails when that server logged a traceback meanwhile, whatever else the test looked at.
"""

import asyncio
import fcntl
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

pytest.register_assert_rewrite("tests.helpers")

from benchmarks.cluster import Cluster  # noqa: E402
from benchmarks.cluster import make_template as make_cluster_template  # noqa: E402
from benchmarks.services import Postgres, Redis, copy_data  # noqa: E402
from realtime_project.hub import Hub  # noqa: E402
from realtime_project.topics import hub  # noqa: E402
from tests.helpers import TEMPLATE, TRACEBACK, Server, make_template, running  # noqa: E402

Once = Callable[[str, Callable[[Path], object]], Path]

settings.register_profile("a busy machine", deadline=None)
settings.load_profile("a busy machine")


# The order, and who runs what ------------------------------------------------------------------------------------

# What one worker runs: files that share servers, so that these are started once. Other files are units of their own.
UNITS = {
    "pages of the chat": (
        "browser/test_changing.py", "browser/test_history.py", "browser/test_layout.py", "browser/test_meanwhile.py",
        "browser/test_outage.py", "browser/test_presence.py", "browser/test_private_rooms.py",
        "browser/test_scripts_in_text.py", "browser/test_talking.py",
    ),
    "other pages": ("browser/",),
    "wire": ("wire/",),
    "mounted": tuple(
        f"realtime_project/test_{name}.py"
        for name in ("asgi", "control", "private", "registry", "topic_mode", "two_servers")
    ),
    "beside": ("admin_panel/test_orders.py", "chat/test_private_rooms.py", "realtime_project/test_revocation.py"),
    "acted": ("actors/test_actor_mode.py", "actors/test_examples.py", "actors/test_quiz.py"),
    "unlimited": (
        "chat/test_changes_connection.py", "chat/test_chat_connection.py", "chat/test_nothing_lost.py",
    ),
}  # fmt: skip
# What takes longest begins first, so that nobody is alone with it in the end.
LONG = (
    "pages of the chat", "other pages", "mounted", "wire", "admin_panel/test_who_may.py",
    "realtime_project/test_presence.py", "beside", "admin_panel/test_hostile.py",
    "chat/test_presence.py", "realtime_project/test_server.py", "unlimited", "actors/test_sessions.py",
    "faults/test_faults.py", "admin_panel/test_snapshot.py", "acted", "realtime_project/test_hub_schedules.py",
    "admin_panel/test_dashboard_socket.py", "realtime_project/test_operating.py", "actors/test_two_servers.py",
    "realtime_project/test_realtime_command.py", "realtime_project/test_readiness.py",
)  # fmt: skip


def unit_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return next((unit for unit, paths in UNITS.items() if file.startswith(paths)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {unit: place for place, unit in enumerate(LONG)}
    items.sort(key=lambda item: (places.get(unit_of(item.nodeid), len(LONG)), item.nodeid.partition("::")[0]))


class ByUnit(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByUnit | None:
    return ByUnit(config, log) if config.getvalue("dist") == "loadfile" else None


# The database of tests in process -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file: SQLite's shared-memory database answers a second thread with "table is locked", whatever the timeout."""
    from django.db import connection

    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


# Servers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once("name", make)`: the folder that `make` filled. Of several workers the first makes it, the others wait."""
    mine = tmp_path_factory.getbasetemp()
    everybodys = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine

    def once(name: str, make: Callable[[Path], object]) -> Path:
        made, making = everybodys / name, everybodys / f"{name}.making"
        with (everybodys / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                making.mkdir()
                make(making)
                making.rename(made)
        return made

    return once


@pytest.fixture(scope="session")
def template(once: Once) -> Path:
    """The database that every server starts from a copy of."""
    return once("template", make_template) / TEMPLATE


EVERY_SERVER: list[Server] = []


@pytest.fixture(scope="session")
def servers() -> list[Server]:
    """Every server that was started, for the watch over their logs."""
    return EVERY_SERVER


# An idle server takes its share of a core too. Those of a session rest while the worker is at what does not need them.
resting: dict[str, list[Server]] = {}  # by the fixture that has started them


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    known = len(EVERY_SERVER)
    made = yield
    if fixturedef.scope == "session" and EVERY_SERVER[known:]:
        resting[fixturedef.argname] = EVERY_SERVER[known:]
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in resting.keys() & used_by(item):
        wake(resting[name])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    yield
    if nextitem and unit_of(nextitem.nodeid) != unit_of(item.nodeid):
        unit = [each for each in item.session.items if unit_of(each.nodeid) == unit_of(nextitem.nodeid)]
        for name in resting.keys() - set().union(*map(used_by, unit)):
            for server in resting[name]:
                server.stop()


def wake(servers: list[Server]) -> None:
    """Start those that do not run."""
    for server in servers:
        if not server.running():
            server.start()


def used_by(item: pytest.Item) -> set[str]:
    """The fixtures of a test, and theirs."""
    return set(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def server(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share: do not stop it, and use names of your own."""
    with running(Server(tmp_path_factory.mktemp("server"), template), servers) as shared:
        yield shared


@pytest.fixture(scope="session")
def beside(server: Server, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another server on the same database, and nothing but the database between them."""
    with running(Server(tmp_path_factory.mktemp("beside"), database=server.database), servers) as other:
        yield other


@pytest.fixture(scope="session")
def unlimited(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server for those who post much: nobody is too fast for it."""
    with running(Server(tmp_path_factory.mktemp("unlimited"), template, WEBSOCKET_RATE=0), servers) as shared:
        yield shared


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
def logged_meanwhile(servers: list[Server]) -> Callable[[], dict[Server, str]]:
    """What each server has logged since the test began."""
    before = {server: server.logged for server in servers}
    return lambda: {server: server.log(before.get(server, 0)) for server in servers}


@pytest.fixture(autouse=True)
def no_traceback_in_a_log(
    request: pytest.FixtureRequest, logged_meanwhile: Callable[[], dict[Server, str]]
) -> Iterator[None]:
    yield
    if request.node.get_closest_marker("logs_errors"):
        return
    for server, log in logged_meanwhile().items():
        if TRACEBACK in log:
            pytest.fail(f"the server on port {server.port} logged a traceback:\n{log[-6000:]}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells what its servers logged, and whether they still run."""
    report = yield
    meanwhile = getattr(item, "funcargs", {}).get("logged_meanwhile")
    if report.failed and meanwhile:
        for server, log in meanwhile().items():
            if log:
                state = "runs" if server.running() else f"ended with {server.process and server.process.returncode}"
                report.sections.append((f"the server on port {server.port}, which {state}", log[-4000:]))
    return report


@pytest.fixture
async def fresh_hub() -> AsyncIterator[Hub]:
    """The hub of this test's loop, ended with it."""
    serving = hub()
    yield serving
    serving.close()
    await asyncio.sleep(0)


# What several servers share -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_data(once: Once) -> Path:
    """What every PostgreSQL of the tests starts from a copy of: it has a template to copy databases from."""

    def make(folder: Path) -> None:
        first = Postgres()
        first.start()
        make_cluster_template(first)
        first.stop()
        copy_data(first.data, folder / "data")
        first.remove()

    return once("postgres", make) / "data"


@pytest.fixture(scope="session")
def postgres(postgres_data: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own."""
    running = Postgres(postgres_data)
    running.start()
    yield running
    running.remove()


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis that most tests share: do not stop it."""
    running = Redis()
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Redis]:
    """A Redis that the tests of one file may kill, and in which nobody else speaks."""
    running = Redis()
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def _pair(
    postgres: Postgres, own_redis: Redis, servers: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("killable")
    running = Cluster(folder, postgres, [own_redis], f"killable_{uuid.uuid4().hex[:8]}", 2, WEBSOCKET_RATE=0)
    servers.extend(running.servers)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def killable(_pair: Cluster) -> Cluster:
    """Two servers over that Redis, which these tests may stop and kill."""
    wake(_pair.servers)
    return _pair
