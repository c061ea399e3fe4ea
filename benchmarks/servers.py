"""Where servers are measured: on a core of their own, with a fresh folder and database on a real disk."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .contestants import Contestant
from .processes import PROJECT, Server, make_template

FOLDER = PROJECT / ".benchmarks"
IN_MEMORY = ("tmpfs", "ramfs")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, GENERATOR_CORE = CORES[0], CORES[-1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """What is started meanwhile runs on this core, and so do its threads."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def folder() -> Path:
    """An empty one."""
    empty = FOLDER / "server"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir(parents=True)
    return empty


@contextmanager
def fresh(contestant: Contestant, template: Path, **settings: Any) -> Iterator[Server]:
    """A server of its own for one measurement, with a database of its own."""
    server = contestant.server(folder(), template, **settings)
    try:
        with pinned(SERVER_CORE):
            server.start()
        yield server
    finally:
        if server.process:
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


STAFF = """
from django.contrib.auth import get_user_model
from django.test import Client
person = get_user_model().objects.create_user("watching staff", is_staff=True)
client = Client()
client.force_login(person, "django.contrib.auth.backends.ModelBackend")
print(json.dumps(client.cookies["sessionid"].value))
"""


def employ(server: Server) -> str:
    """The Cookie header of a member of staff."""
    return f"sessionid={server.python(STAFF)}"


def enter(server: Server) -> str:
    """A guest's Cookie header. The form is not fetched first: in production its page needs collected static files."""
    token = "t" * 32  # Django asks of a CSRF cookie that the form repeats it
    form = {"name": "generator", "csrfmiddlewaretoken": token}
    with httpx.Client(base_url=server.url, cookies={"csrftoken": token}, trust_env=False) as browser:
        entered = browser.post("/accounts/guest/", data=form)
        assert entered.is_redirect, f"the generator may not enter: {entered.status_code}"
        return f"sessionid={browser.cookies['sessionid']}"
