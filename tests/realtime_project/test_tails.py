"""What a watcher is shown of a frame, and that a connection that nobody watches is as it was before."""

import asyncio
import json
from typing import Any

import pytest

from realtime_project import tails
from realtime_project.feeds import Event, Run


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ('{"token": "s3cret", "text": "hi"}', '{"token": "…", "text": "hi"}'),
        ('{"type":"session","token":"s3cret"}', '{"type":"session","token":"…"}'),
        ('{"Password":"a \\" b","n":1}', '{"Password":"…","n":1}'),
        ('{"access_token_v2":12345}', '{"access_token_v2":"…"}'),
        ('{"a":{"api_key":"k","b":"c"}}', '{"a":{"api_key":"…","b":"c"}}'),
        ('{"session": {"id": "k", "of": 3}, "n": 1}', '{"session": "…"}, "n": 1}'),
        ('{"token":"never ends', '{"token":"…"'),
        ("the token is in plain words", "the token is in plain words"),
        ("", ""),
    ],
)
def test_values_named_like_secrets_are_left_out(sent: str, shown: str) -> None:
    assert tails.shown("in", sent).text == shown


def test_a_long_frame_is_cut_and_its_size_told() -> None:
    text = tails.shown("in", "ż" * 3_000)
    assert (text.size, text.text) == (6_000, "ż" * 2_000 + "…")
    content = tails.shown("out", bytes(1_000))
    assert (content.kind, content.size, content.text) == ("binary", 1_000, "00 " * 255 + "00 …")
    secret = tails.shown("in", '{"token":"' + "x" * 5_000)
    assert "x" not in secret.text


def test_a_frame_of_nothing_but_quotes_takes_no_time_to_speak_of() -> None:
    for nasty in ('"' * 2_000, '"token' * 400, '"' + "token" * 399, '"token":"' + "\\" * 1_990):
        assert tails.shown("in", nasty).kind == "text"


class Outlet:
    lane = None

    gone = False

    def __init__(self) -> None:
        self.sent: list[str] = []

    def write(self, run: Run) -> bool:
        self.sent += [str(event.content) for event in run]
        return True


class Watched:
    """A connection, as far as a tap goes."""

    id, mode, closed = "watched", "topic", False

    def __init__(self) -> None:
        self._outlet: Any = Outlet()
        self.count = 0

    def counted(self, message: dict[str, Any], limit: int) -> bool:
        self.count += 1
        return True


class Hub:
    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []

    def publish(self, to: str, contents: tuple[str, ...]) -> None:
        self.published += [(to, json.loads(content)) for content in contents]


async def test_a_connection_is_as_it_was_when_nobody_watches_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, watched = Hub(), Watched()
    monkeypatch.setattr(tails, "hub", lambda: hub)
    monkeypatch.setattr(tails, "PACE", 0.02)
    before, attributes = watched._outlet, set(vars(watched))
    tails.show(watched, "not private", 5)
    await asyncio.sleep(0.05)
    assert watched._outlet is before, "frames go to private topics only"
    tails.show(watched, "conn.out:a:b", 1)
    assert watched.counted({"text": "hello"}, 100)
    assert watched._outlet.write(Run([Event("answer")]))
    assert (before.sent, watched.count) == (["answer"], 1)
    await asyncio.sleep(0.1)
    [(to, message)] = hub.published
    assert (to, [(frame["way"], frame["text"]) for frame in message["frames"]]) == (
        "conn.out:a:b",
        [("in", "hello"), ("out", "answer")],
    )
    await asyncio.sleep(1.2)
    assert watched._outlet is before
    assert set(vars(watched)) == attributes
    assert tails._taps == {}
    assert watched.counted({"text": "more"}, 100)
    assert len(hub.published) == 1


async def test_watchers_have_a_limit_and_leave_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hub, watched = Hub(), Watched()
    monkeypatch.setattr(tails, "hub", lambda: hub)
    monkeypatch.setattr(tails, "PACE", 0.02)
    before = watched._outlet
    for number in range(tails.WATCHERS + 3):
        tails.show(watched, f"conn.out:a:{number}", 60)
    assert len(tails._taps["watched"].watchers) == tails.WATCHERS
    for number in range(tails.WATCHERS):
        assert watched._outlet is not before
        tails.show(watched, f"conn.out:a:{number}", 0)
    assert watched._outlet is before


async def test_one_that_has_gone_or_watches_itself_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, watcher = Watched(), Watched()
    gone.closed, watcher.mode = True, "tail"
    for connection in (gone, watcher):
        tails.show(connection, "conn.out:a:b", 60)
        assert isinstance(connection._outlet, Outlet)
