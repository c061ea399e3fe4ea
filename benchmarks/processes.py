"""Real servers in processes of their own, each with its own port, database and log. Benchmarks and tests start them.

Nothing here imports the application: it is told everything by its environment, and judged from outside.
"""

import atexit
import errno
import json
import os
import random
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

import httpx

from . import shell
from .shell import PROJECT as PROJECT

PATIENCE = 10.0  # seconds that anything may take on a busy machine before it has failed
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # whom clients of plain HTTP trust: reading all authorities takes time
TEMPLATE = "template.sqlite3"
PORTS = range(20_000, 32_768)  # below those that the kernel gives to sockets that ask for none
kept = ExitStack()  # what keeps our ports ours
atexit.register(kept.close)
STOPPING = 15.0  # seconds a server gets to leave on SIGTERM before it is killed


def environment(database: Path, **settings: object) -> dict[str, str]:
    """All that a server's process is told. What the developer's shell has set is not handed on."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    told = {
        "DEBUG": 1,
        "SECRET_KEY": "of-the-tests-alone",
        "DATABASE_URL": f"sqlite:///{database}",  # with the path's own slash: four
        "REALTIME_DEMOS": 1,
        "SERVER_LEASE": 3,
        "GUESTS_PER_ADDRESS": 100_000,
        "PYTHONUNBUFFERED": 1,
        "PYTHONFAULTHANDLER": 1,
    }
    return kept | {name: str(value) for name, value in (told | settings).items()}


def run(arguments: list[str], environment: dict[str, str], cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, text=True, capture_output=True, timeout=120, check=False
    )


def copy_database(source: Path, target: Path) -> None:
    """All of `source`, what still stands in its write-ahead log included."""
    reading, writing = sqlite3.connect(source), sqlite3.connect(target)
    try:
        reading.backup(writing)
    finally:
        writing.close()
        reading.close()


def is_free(database: Path) -> bool:
    """Whether anybody could write to a SQLite file now."""
    with closing(sqlite3.connect(database, timeout=0.5, isolation_level=None)) as asking:
        try:
            asking.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def make_template(folder: Path) -> Path:
    """A migrated database with the demo rooms, for servers to start from."""
    template = folder / TEMPLATE
    for command in (["migrate", "--verbosity", "0"], ["welcome"]):
        done = run(["manage.py", *command], environment(template))
        assert done.returncode == 0, f"manage.py {command[0]}:\n{done.stdout}{done.stderr}"
    return template


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens, and that is told to nobody else while this process lives.

    The system gives any free port to whoever asks, so to another test too while our server is still importing. What
    keeps it is the UDP port of the same number; and it is not among those that sockets are given by themselves.
    """
    for _ in range(1000):
        port = random.choice(PORTS)
        keeper = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not matter
            try:
                keeper.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                keeper.close()
                continue
        kept.enter_context(keeper)
        return port
    raise OSError(errno.EADDRINUSE, f"found no free port from {PORTS[0]} to {PORTS[-1]}")


def browser(url: str, **options: Any) -> httpx.Client:
    """A browser without scripts, before the pages of one server; `options` are httpx.Client's."""
    defaults: dict[str, Any] = {"base_url": url, "timeout": PATIENCE, "trust_env": False, "verify": NOBODY}
    return httpx.Client(**(defaults | options))


class Server:
    """The application on a port of its own, with its own database (or another server's, to share it)."""

    def __init__(self, folder: Path, template: Path | None = None, database: Path | None = None, **settings: object):
        self.folder = folder
        self.database = database or folder / "db.sqlite3"
        if template and not database:
            copy_database(template, self.database)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment(self.database, **settings)
        self.log_file = folder / "server.log"
        self.options: tuple[str, ...] = ()  # of `serve`
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        return [sys.executable, "manage.py", "serve", "-b", "127.0.0.1", "-p", str(self.port), *self.options]

    def start(self) -> Self:
        assert not self.running(), "already running"
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=PROJECT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self.running(), f"the server ended with {self.process.returncode}:\n{self.log()}"
            assert time.monotonic() < deadline, f"the server did not answer:\n{self.log()}"
            time.sleep(0.05)
        assert self.running(), f"somebody else answers on port {self.port}:\n{self.log()}"
        return self

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process, "never started"
        return self.process.pid

    def answers(self) -> bool:
        """Whether HTTP is served; any status will do."""
        try:
            with browser(self.url, timeout=5) as asking:
                asking.get("/healthz")
        except httpx.TransportError:
            return False
        return True

    def stop(self) -> int:
        """SIGTERM, and what the process left with; a server that does not leave is killed."""
        assert self.process, "never started"
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOPPING)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        assert self.process, "never started"
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process, "never started"
        self.process.send_signal(number)

    def wait(self) -> int:
        """What the process leaves with, soon and by itself."""
        assert self.process, "never started"
        return self.process.wait(PATIENCE)

    def freeze(self) -> None:
        """SIGSTOP: nothing is closed, nothing answers."""
        self.signal(signal.SIGSTOP)

    def freeze_alone(self) -> None:
        """The same in a moment in which it holds no lock of its SQLite file: who shares that goes on."""
        self.freeze()
        while not is_free(self.database):
            self.thaw()
            time.sleep(0.01)
            self.freeze()

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Another process on the same port and database."""
        if self.running():
            self.stop()
        self.start()

    @property
    def logged(self) -> int:
        """Bytes."""
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def log(self, since: int = 0) -> str:
        """What stands behind so many bytes."""
        if self.logged <= since:
            return ""
        with self.log_file.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def ws(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}/{path.lstrip('/')}"

    def manage(self, *arguments: str) -> str:
        """What a management command prints, run on this server's database."""
        done = run(["manage.py", *arguments], self.environment)
        assert done.returncode == 0, f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def python(self, code: str) -> Any:
        """Runs `code` with Django set up, on this server's database, in another process; what it prints, as JSON."""
        done = shell.run(self.environment, f"import os, json, django\n{textwrap.dedent(code)}")
        assert done.code == 0, f"it raised:\n{done.errors}"
        return json.loads(done.printed) if done.printed.strip() else None
