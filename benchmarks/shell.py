"""Code that runs with Django set up, on a server's database: each piece in a process of its own, and yet at once.

Importing everything takes most of a second. `python -m benchmarks.shell` does it once and then waits on a socket; each
piece of code that comes runs in a fork, which opens connections of its own and is answered with what it printed.
Nothing is asked of the database, and no thread is started, before the fork: so one process does for all servers that
differ in their database alone.
"""

import json
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
LONGEST = 120.0  # seconds that a piece of code may take
WHICH = ("NAME", "USER", "PASSWORD", "HOST", "PORT")  # database it is, of those of one kind
LOOK = 5.0  # seconds between two looks whether the parent is still there
SETTINGS = "realtime_project.settings"  # whatever the server's own are: the code is not a server


class Answer(NamedTuple):
    code: int  # 0, unless it raised
    printed: str
    errors: str


class Shell:
    """The process that waits. It ends with whoever started it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="shell-")  # nobody else can enter it
        self.path = f"{self.folder.name}/socket"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.path)
            listening.listen(64)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.shell", str(listening.fileno())],
                cwd=PROJECT,
                env=environment | {"DJANGO_SETTINGS_MODULE": SETTINGS},
                pass_fds=[listening.fileno()],
            )

    def run(self, code: str, database: str) -> Answer:
        """database: its URL. Raises OSError or json.JSONDecodeError where the process could not start or was killed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LONGEST)
            connection.connect(self.path)
            connection.sendall(json.dumps([code, database]).encode())
            connection.shutdown(socket.SHUT_WR)
            return Answer(*json.load(connection.makefile()))


shells: dict[frozenset[tuple[str, str]], Shell] = {}  # by environment, but for the database
opening = threading.Lock()


def run(environment: dict[str, str], code: str) -> Answer:
    """Runs `code` where it is told all this: see Shell.run."""
    database = environment["DATABASE_URL"]
    kind = database.partition(":")[0]
    key = frozenset((environment | {"DATABASE_URL": kind}).items())
    with opening:
        shell = shells.get(key) or shells.setdefault(key, Shell(environment))
    return shell.run(code, database)


class Piece(socketserver.StreamRequestHandler):
    """One piece of code, in a fork of its own."""

    def handle(self) -> None:
        import environ
        from django.db import connections

        code, database = json.load(self.rfile)
        found = environ.Env.db_url_config(database)
        connections.settings["default"].update({name: found[name] for name in WHICH if name in found})
        failed = 0
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
            os.dup2(printed.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            try:
                exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
            except BaseException:
                failed = 1
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            texts = []
            for file in (printed, errors):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        self.wfile.write(json.dumps([failed, *texts]).encode())


class Waiting(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks for each piece, until its parent has gone."""

    max_children = 100

    def __init__(self, listening: socket.socket) -> None:
        super().__init__("", Piece, bind_and_activate=False)
        self.socket.close()
        self.socket, self.parent = listening, os.getppid()

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self.parent:
            os._exit(0)


def main() -> None:
    import django

    django.setup()
    with Waiting(socket.socket(fileno=int(sys.argv[1]))) as waiting:
        waiting.serve_forever(poll_interval=LOOK)


if __name__ == "__main__":
    main()
