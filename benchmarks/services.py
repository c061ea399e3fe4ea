"""Real PostgreSQL and Redis servers of our own: on free ports, in folders of their own, ended by their pid."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .processes import free_port

STARTING = 20.0  # seconds
TEMPLATE = "harbour_template"  # what a cluster's databases are copied from


class Process:
    """A service that can be killed, frozen and brought back on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + STARTING
        while not self.answers():
            assert self.process.poll() is None, f"{self.command()[0]} ended with {self.process.returncode}"
            assert time.monotonic() < deadline, f"{self.command()[0]} did not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)


class Redis(Process):
    """Keeps nothing: a restart is an empty one."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        binary = shutil.which("redis-server")
        assert binary, "no redis-server found: `make test` installs it"
        return [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def ask(self, command: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(65_536).decode()

    def answers(self) -> bool:
        try:
            return self.ask("PING").startswith("+PONG")
        except OSError:
            return False

    def channels(self) -> set[str]:
        """Those that anybody is subscribed to."""
        return set(self.ask("PUBSUB CHANNELS").split()[2::2])

    def subscribers(self, channel: str) -> int:
        return int(self.ask(f"PUBSUB NUMSUB {channel}").rpartition(":")[2])

    def published(self) -> int:
        """PUBLISH commands so far, as Redis counts them."""
        lines = self.ask("INFO commandstats").splitlines()
        found = [line for line in lines if line.startswith("cmdstat_publish:calls=")]
        return int(found[0].split("=")[1].split(",")[0]) if found else 0


class Postgres(Process):
    """A cluster of its own, trusting whoever reaches its port on this machine."""

    def __init__(self, data: Path | None = None) -> None:
        """data: the folder of a cluster that has been stopped, to begin with a copy of."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.as_user: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            person = pwd.getpwnam("postgres")
            os.chown(self.folder, person.pw_uid, person.pw_gid)
            self.as_user = ["setpriv", f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--clear-groups"]
        self.data = self.folder / "data"
        if data:
            copy_data(data, self.data)
            return
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [*self.as_user, binary("initdb"), *options, str(self.data)], check=True, capture_output=True, cwd="/"
        )

    def command(self) -> list[str]:
        settings = {"unix_socket_directories": self.folder, "listen_addresses": "127.0.0.1", "max_connections": 200}
        chosen = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*self.as_user, binary("postgres"), "-D", str(self.data), "-p", str(self.port), *chosen]

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def copy(self, name: str) -> str:
        """The URL of a fresh database, migrated and with the demo rooms."""
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
        return self.url(name)

    def sql(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def answers(self) -> bool:
        import psycopg

        try:
            self.sql("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def restart(self) -> None:
        """As an operator does: fast, with every session ended."""
        self.stop()
        self.start()

    def stop(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def remove(self) -> None:
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def copy_data(source: Path, target: Path) -> None:
    """Owners included: it belongs to whom PostgreSQL runs as."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def binary(name: str) -> str:
    """A program of the newest PostgreSQL here; Debian keeps them out of PATH."""
    kept: Callable[[Path], int] = lambda path: int(path.parts[-3])  # noqa: E731
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=kept)
    program = str(found[-1]) if found else shutil.which(name)
    assert program, f"no {name} found: `make test` installs PostgreSQL"
    return program
