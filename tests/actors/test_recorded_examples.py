"""Every example, recorded while real clients use it: its sessions replay as they were, and are tests that pass."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from actors.routing import urlpatterns
from tests.acted.reading import ACTED, right_answers
from tests.actors.test_quiz import joins, opens, sits
from tests.helpers import PATIENCE, PROJECT, Server, connect

RECORDED = "ws/acted/recorded/"


async def echo(server: Server) -> None:
    async with connect(server.ws(f"{RECORDED}echo/")) as ann:
        assert await ann.recv() == "welcome!"
        for content in ("hello", "", "it's \"ünï” \\ \x00\u2028", b"\x00\xff", "x" * 1_500):
            await ann.send(content)
            await ann.recv()


async def names(server: Server) -> None:
    url = server.ws(f"{RECORDED}names/")
    async with connect(url) as ann, connect(url) as bob:
        for socket, words in ((ann, [" ", "n" * 41, b"ann"]), (bob, ["ANN"])):
            assert await socket.recv() == "send your name"
            for word in words:
                await socket.send(word)
                assert "send your name" in str(await socket.recv())
            name = "ann" if socket is ann else "bob"
            await socket.send(name)
            await socket.send("here I am")
            assert await socket.recv() == f"[{name}]: here I am"
        assert [await ann.recv(), await ann.recv()] == ["* bob joined", "[bob]: here I am"]
        await bob.send(b"\x00")
        assert "say it in words" in str(await bob.recv())
        await bob.send("hi")
        assert [await ann.recv(), await bob.recv()] == ["[bob]: hi"] * 2
        await ann.close()
        assert await bob.recv() == "* ann left"


async def store(server: Server) -> None:
    async with connect(server.ws(f"{RECORDED}store/")) as ann:
        wishes: list[Any] = [
            {"type": "StoreRequest", "key": "apples", "value": {"red": [3, None, 1.5]}},
            {"type": "FetchRequest", "key": "apples"},
            {"type": "FetchRequest", "key": "pears"},
            {"type": "FetchRequest", "key": ""},
        ]
        for wish in wishes:  # all at once: what comes while one is looked up is put aside
            await ann.send_json(wish)
        await ann.send("what?")
        await ann.send(b"\x00")
        answers = [await ann.recv_json() for _ in range(6)]
        assert [each["type"] for each in answers] == ["stored", "fetched", "fetched", "error", "error", "error"]


async def quiz(server: Server) -> None:
    path = f"{RECORDED}quiz/"
    async with sits(server, path=path) as ann, sits(server, path=path) as bob:
        await ann.send("Open", name="")
        assert await ann.refused() == "invalid_name"
        code = await opens(ann)
        await bob.send("Join", code="ZZZZ", name="bob")
        assert await bob.refused() == "no_game"
        await bob.send("Ping")
        await joins(bob, code, "bob")
        await bob.send("Begin")
        assert await bob.refused() == "not_host"
        first, second = await asyncio.to_thread(right_answers, server, code)
        await ann.send("Begin")
        step = (await bob.sees("question"))["step"]
        await bob.send("Answer", step=step, choice=first)
        await bob.send("Answer", step=step, choice=first)
        assert await bob.refused() == "answered"
        await ann.send("Answer", step=step, choice=(first + 1) % 4)
        await bob.sees("reveal")
        step = (await bob.sees("question"))["step"]
        for player in (ann, bob):
            await player.send("Answer", step=step, choice=second)
        assert (await bob.sees("podium"))["players"][0]["name"] == "bob"
        await ann.sees("podium")
        await ann.send("Again")
        await bob.sees("lobby")
        await ann.send("Leave")
        await bob.hears(lambda frame: frame.get("type") == "game" and frame["you"]["host"])
        await bob.socket.send("no JSON")
        assert await bob.refused() == "invalid_message"


SESSIONS: dict[str, Callable[[Server], Awaitable[None]]] = {
    "echo": echo,
    "names": names,
    "store": store,
    "quiz": quiz,
}

RECORDINGS = 7  # of six connections, and of Bob's actor when he had stayed away for a while

ENDED = f"""
from actors.models import Recording
rows = Recording.objects.filter(endpoint__startswith="/{RECORDED}").order_by("endpoint", "begun_at")
print(json.dumps([[row.pk, row.endpoint, row.taken, row.missed, row.ended] for row in rows]))
"""
EXPORTED = """
import io, json
from django.core.management import call_command
texts = {{}}
for id in {ids}:
    call_command("actors", "export", id, stdout=(text := io.StringIO()))
    texts[id] = text.getvalue()
print(json.dumps(texts))
"""


async def test_every_example_exports_tests_that_pass_and_replays_as_it_was(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server(**ACTED)
    for play in SESSIONS.values():
        await play(server)
    async with asyncio.timeout(3 * PATIENCE):
        while True:
            rows = await asyncio.to_thread(server.python, ENDED)
            if len(rows) == RECORDINGS and all(ended for *_, ended in rows):
                break
            await asyncio.sleep(0.2)
    assert not any(missed for *_, missed, _ in rows)
    assert {endpoint.split("/")[-2] for _, endpoint, *_ in rows} == set(SESSIONS)
    folder = tmp_path / "exported"
    folder.mkdir()
    code = EXPORTED.format(ids=[id for id, *_ in rows])
    texts = json.loads(await asyncio.to_thread(server.manage, "shell", "--no-imports", "-c", code))
    for number, (id, endpoint, *_) in enumerate(rows):
        (folder / f"test_{endpoint.split('/')[-2]}_{number}.py").write_text(texts[id])
    said = await asyncio.to_thread(server.manage, "actors", "replay")  # which ends with 1 where one goes otherwise
    assert f"{RECORDINGS} recordings: {RECORDINGS} the same, 0 otherwise, 0 that cannot be told in every step" in said
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={PROJECT}", "-c", str(PROJECT / "pyproject.toml")]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=PROJECT, capture_output=True, text=True)
    assert f"{RECORDINGS} passed" in done.stdout, done.stdout + done.stderr
    written = {file.name: file.read_text() for file in folder.iterdir()}
    assert [name for name, text in written.items() if "Not played" in text] == []


def test_every_example_is_recorded_here() -> None:
    assert {str(each.pattern).split("/")[-2] for each in urlpatterns} == set(SESSIONS)
