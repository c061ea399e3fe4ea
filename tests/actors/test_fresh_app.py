"""What docs/actors.md tells a newcomer to do, done: a fresh app, its first lines, and a server that serves them."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.helpers import PROJECT, Server, connect, environment, run

SETTINGS = """
from realtime_project.settings import *
from realtime_project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "game"]
"""
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def test_the_first_lines_serve_an_actor_from_a_fresh_app(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    text = (PROJECT / "docs" / "actors.md").read_text()
    app, (lines, routes, *_) = tmp_path / "game", BLOCKS.findall(text)
    assert "manage.py startapp game" in text
    app.mkdir()
    made = run(["manage.py", "startapp", "game", str(app)], environment(tmp_path / "none.sqlite3"))
    assert made.returncode == 0, made.stderr
    (app / "routing.py").write_text(f"{lines}\n{routes}")
    (tmp_path / "fresh.py").write_text(SETTINGS)
    server = start_server(PYTHONPATH=tmp_path, DJANGO_SETTINGS_MODULE="fresh")
    async with connect(server.ws("ws/game/")) as socket:
        assert await socket.recv() == "welcome!"
        await socket.send("hello")
        assert await socket.recv() == "you said: hello"
    assert "no issues" in server.manage("check")
