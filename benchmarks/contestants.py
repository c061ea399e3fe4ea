"""Who is measured: how each server is started, and where its chat and its echo are."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .processes import PROJECT, Server

INSTALLED = PROJECT / ".benchmarks" / "peers"  # `make bench-peers` puts there what is not ours
PYTHON, MODULES = INSTALLED / "venv" / "bin" / "python", INSTALLED / "node_modules"
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
PRODUCTION: dict[str, Any] = {
    "DEBUG": 0,  # DEBUG would have Django keep and format every query
    "SECRET_KEY": "of-the-benchmarks-alone-and-long-enough-for-production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "ALLOWED_ORIGINS": "http://127.0.0.1",
    "WEBSOCKET_RATE": 0,
}
NODE = {"NODE_PATH": MODULES, "NODE_ENV": "production"}


@dataclass(frozen=True)
class Contestant:
    """A server. `command` wants only a port; a path is None where it does not take part."""

    name: str
    command: tuple[str, ...]
    broadcast: str | None = "/broadcast"
    echo: str | None = "/echo"
    prefix: str = ""  # what its echo begins with
    socketio: bool = False
    database: bool = False
    environment: dict[str, Any] = field(default_factory=dict)

    def server(self, folder: Path, template: Path, **settings: Any) -> Server:
        """Not started yet."""
        return Process(self, folder, template if self.database else None, **(self.environment | settings))


class Process(Server):
    """A contestant that runs."""

    def __init__(self, contestant: Contestant, folder: Path, template: Path | None, **settings: Any) -> None:
        super().__init__(folder, template, **settings)
        self.contestant = contestant

    def command(self) -> list[str]:
        return [*self.contestant.command, str(self.port)]


def uvicorn(application: str) -> tuple[str, ...]:
    quiet = ("--log-level", "warning", "--no-access-log")
    return (str(PYTHON), "-m", "uvicorn", f"benchmarks.peers.{application}:application", *quiet, "--port")


def daphne(application: str) -> tuple[str, ...]:
    quiet = ("-v", "0", "-b", "127.0.0.1")
    return (sys.executable, "-m", "daphne", *quiet, f"benchmarks.peers.{application}:application", "-p")


def node(script: str) -> tuple[str, ...]:
    return ("node", str(PROJECT / "benchmarks" / "peers" / script))


OURS = Contestant(
    "this project",
    (sys.executable, "manage.py", "serve", "-b", "127.0.0.1", "-p"),
    broadcast="/ws/broadcast/",
    echo="/ws/asgi/echo/",
    prefix="Echo: ",
    database=True,
    environment=PRODUCTION,
)
ACTING = {**PRODUCTION, "DJANGO_SETTINGS_MODULE": "benchmarks.acting.settings"}
OURS_ACTOR = Contestant(
    "this project, an actor", OURS.command, broadcast=None, echo="/echo/", database=True, environment=ACTING
)
OURS_STORED = Contestant(
    "this project, a stored actor", OURS.command, broadcast=None, echo="/count/", database=True, environment=ACTING
)
HELD = {**PRODUCTION, "DJANGO_SETTINGS_MODULE": "benchmarks.held.settings"}
OURS_HELD = Contestant(
    "this project, with an eye on its loop",
    OURS.command,
    broadcast="/ws/broadcast/",
    echo=None,
    database=True,
    environment=HELD,
)
OURS_RAW = Contestant("this server, raw ASGI", (sys.executable, "-m", "benchmarks.peers.ours"), broadcast=None)
PLAIN = Contestant("plain Channels on Daphne", daphne("plain_channels.asgi"))
DAPHNE_RAW = Contestant("Daphne, raw ASGI", daphne("raw"), broadcast=None)
UVICORN_RAW = Contestant("uvicorn, raw ASGI", uvicorn("raw"))
FASTAPI = Contestant("FastAPI on uvicorn", uvicorn("fastapi_chat"))
PYTHON_SOCKETIO = Contestant(
    "python-socketio on uvicorn", uvicorn("socketio_chat"), broadcast=SOCKETIO, echo=SOCKETIO, socketio=True
)
NODE_SOCKETIO = Contestant(
    "Socket.IO on Node", node("socketio.cjs"), broadcast=SOCKETIO, echo=SOCKETIO, socketio=True, environment=NODE
)
NODE_WS = Contestant("ws on Node", node("ws.cjs"), environment=NODE)
ZEF = Contestant("Zef", (str(PYTHON), "-m", "benchmarks.peers.zef_chat"), environment={"ZEF_QUIET": 1})

AT_HOME = (OURS, OURS_RAW, OURS_ACTOR, PLAIN, DAPHNE_RAW)  # what `make bench` has without installing anything
PEERS = (UVICORN_RAW, FASTAPI, PYTHON_SOCKETIO, NODE_SOCKETIO, NODE_WS, ZEF)
CLOSE = (PLAIN, NODE_WS, OURS, ZEF)  # what is asked of the fan-out compares ours with these


def side_by_side(contestants: list[Contestant]) -> list[Contestant]:
    """The order of a round: next to ours stand those it is compared with, for a machine is faster at one minute than at
    another.
    """
    others = [each for each in contestants if each not in CLOSE]
    return [*others, *(each for each in CLOSE if each in contestants)]


def peers_versions() -> str:
    """As they are installed."""
    told = subprocess.run([PYTHON, "-m", "pip", "list", "--format=json"], capture_output=True, check=True, text=True)
    wanted = ("fastapi", "httptools", "python-socketio", "uvicorn", "uvloop", "websockets", "zef")
    found = [f"{each['name']} {each['version']}" for each in json.loads(told.stdout) if each["name"] in wanted]
    node = subprocess.run(["node", "--version"], capture_output=True, check=True, text=True).stdout.strip("v\n")
    for name in ("ws", "socket.io"):
        package = json.loads((MODULES / name / "package.json").read_text())
        found.append(f"{name} {package['version']}")
    return ", ".join([*found, f"Node {node}"])
