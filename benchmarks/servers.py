"""The servers that are measured: real processes under Daphne, on a core of their own, on a real disk."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .processes import PROJECT, Server, make_template

FOLDER = PROJECT / ".benchmarks"
IN_MEMORY = ("tmpfs", "ramfs")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, GENERATOR_CORE = CORES[0], CORES[-1]
PRODUCTION: dict[str, Any] = {
    "DEBUG": 0,  # DEBUG would have Django keep and format every query
    "SECRET_KEY": "of-the-benchmarks-alone-and-long-enough-for-production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "ALLOWED_ORIGINS": "http://127.0.0.1",
    "WEBSOCKET_RATE": 0,
}


class PlainServer(Server):
    """The tutorial's chat, under stock Daphne."""

    def command(self) -> list[str]:
        daphne = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "-v", "0"]
        return [sys.executable, *daphne, "benchmarks.plain_channels.asgi:application"]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started meanwhile runs on this core, and so do its threads."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


@contextmanager
def fresh(kind: type[Server], template: Path | None, **settings: Any) -> Iterator[Server]:
    """A server of its own for one measurement, with a database of its own."""
    folder = FOLDER / "server"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server = kind(folder, template, **(PRODUCTION | settings))
    with pinned(SERVER_CORE):
        server.start()
    try:
        yield server
    finally:
        server.kill()  # without a word: nothing of it is needed any more


def template() -> Path:
    FOLDER.mkdir(exist_ok=True)
    assert filesystem(FOLDER) not in IN_MEMORY, f"{FOLDER} is in memory: nothing there is ever written to a disk"
    folder = FOLDER / "template"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return make_template(folder)


def filesystem(path: Path) -> str:
    """The type of the file system that holds `path`, as the kernel names it (proc(5), mountinfo)."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    types = {Path(fields[4]): fields[fields.index("-") + 1] for fields in mounts}
    return next(types[place] for place in (path, *path.parents) if place in types)


def enter(server: Server) -> str:
    """A guest's Cookie header. The form is not fetched first: in production its page needs collected static files."""
    token = "t" * 32  # Django asks of a CSRF cookie that the form repeats it
    form = {"name": "generator", "csrfmiddlewaretoken": token}
    with httpx.Client(base_url=server.url, cookies={"csrftoken": token}, trust_env=False) as browser:
        entered = browser.post("/accounts/guest/", data=form)
        assert entered.is_redirect, f"the generator may not enter: {entered.status_code}"
        return f"sessionid={browser.cookies['sessionid']}"
