"""What a log line looks like, and that nobody else can write one."""

import asyncio
import io
import json
import logging
import logging.config
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from realtime_project.connections import door
from realtime_project.hub import spawn
from realtime_project.logs import AccessLog, configuration, escaped
from tests.helpers import Server, browser, connect

EVIL = "\n2026-11-20 10:00:00 ERROR root: forged\r\x1b[2J\x1b]0;title\x07\x00\x85\u2028\u202e\ud800"


@pytest.fixture
def lines() -> Callable[[bool], tuple[logging.Logger, Callable[[], list[str]]]]:
    """A logger that writes as configured, and what it has written."""

    def make(for_machines: bool) -> tuple[logging.Logger, Callable[[], list[str]]]:
        formatters = {**configuration(for_machines)["formatters"]["line"]}
        formatter = formatters.pop("()")(**formatters)
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger = logging.Logger("chat.rooms")  # noqa: LOG001  # one of its own
        logger.addHandler(handler)

        def written() -> list[str]:
            stream.seek(0)
            return stream.buffer.read().decode().split("\n")[:-1]

        return logger, written

    return make


def test_production_has_a_json_object_a_line(lines: Any) -> None:
    logger, written = lines(True)
    with bound_contextvars(connection="abc"):
        logger.warning("refused %r", "żółw")
    [line] = map(json.loads, written())
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo
    assert line == {"level": "warning", "logger": "chat.rooms", "event": "refused 'żółw'", "connection": "abc"}


def test_development_has_lines_for_people(lines: Any) -> None:
    logger, written = lines(False)
    with bound_contextvars(connection="abc"):
        logger.warning("refused %s", "żółw")
        logger.warning("connection abc: refused")
    logger.info("ready")
    first, second, third = written()
    assert first.endswith(" WARNING chat.rooms: refused żółw connection=abc")
    assert second.endswith(" WARNING chat.rooms: connection abc: refused"), "its id is said once"
    assert third.endswith(" INFO chat.rooms: ready")


@pytest.mark.parametrize("for_machines", [True, False])
def test_nobody_writes_a_second_line(lines: Any, for_machines: bool) -> None:
    logger, written = lines(for_machines)
    with bound_contextvars(connection=EVIL):
        logger.warning("asked for %s", EVIL)
    [line] = written()
    assert line.isprintable()
    assert "forged" in line


@pytest.mark.parametrize("for_machines", [True, False])
def test_nor_by_the_text_of_an_exception(lines: Any, for_machines: bool) -> None:
    logger, written = lines(for_machines)
    try:
        raise ValueError(EVIL)
    except ValueError:
        logger.exception("failed")
    first, *others = written()
    assert all(line.isprintable() for line in (first, *others))
    assert all(line.startswith("    ") for line in others)
    assert any("Traceback (most recent call last)" in line for line in (first, *others))
    assert bool(others) is not for_machines


def test_what_is_escaped_can_be_read() -> None:
    assert escaped("żółw 👍 'a\\b'") == "żółw 👍 'a\\b'"
    assert escaped("a\nb\x1bc\u2028") == "a\\nb\\x1bc\\u2028"


def test_the_access_log_is_a_line_an_entry() -> None:
    stream = io.StringIO()
    details = {"client": "127.0.0.1:1", "method": "GET", "path": f'/{EVIL}" 200 1', "status": 404, "size": 3}
    AccessLog(stream)("http", "complete", details)
    AccessLog(stream)("websocket", "connected", {"client": "127.0.0.1:1", "path": f"/{EVIL}"})
    first, second = stream.getvalue().split("\n")[:-1]
    assert first.isprintable() and second.isprintable()
    assert first.endswith('" 404 3')
    assert '\\" 200 1"' in first


async def test_a_connections_id_is_that_of_its_own_lines_alone() -> None:
    seen: dict[str, Any] = {}

    def now() -> Any:
        from structlog.contextvars import get_contextvars

        return get_contextvars().get("connection")

    async def shared() -> None:
        seen["shared"] = now()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen["own"], seen["is"] = now(), scope["connection"].id
        seen["task"] = await asyncio.create_task(asyncio.to_thread(now))
        await spawn(shared(), set())

    async def nothing(*_: Any) -> Any:
        return {"type": "websocket.disconnect", "code": 1000}

    async def enter() -> None:
        await door(app, "/ws/x/")({"headers": [], "path": "/ws/x/"}, nothing, nothing)

    await asyncio.create_task(enter())
    assert seen["own"] == seen["task"] == seen["is"]
    assert seen["shared"] is None, "what serves everybody is not of the connection that began it"
    assert now() is None


def test_a_production_servers_log_is_json(start_server: Callable[..., Server], tmp_path: Path) -> None:
    told = {"DEBUG": 0, "ALLOWED_HOSTS": "127.0.0.1", "ALLOWED_ORIGINS": "http://127.0.0.1", "SECURE_COOKIES": 0}
    access = tmp_path / "access.log"
    server = start_server("--access-log", str(access), **told)

    async def knock() -> None:
        for path in ("ws/%0Anothing%1B%E2%80%A8", "ws/<script>"):
            with pytest.raises(Exception, match="HTTP 404"):
                async with connect(server.ws(path)):
                    pass

    asyncio.run(knock())
    with browser(server.url, headers={"Host": "evil.example"}) as stranger:
        assert stranger.get("/healthz").status_code == 400
    server.stop()
    said = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    refused = [line for line in said if line["logger"] == "realtime_project.connections"]
    assert len(refused) == 2
    assert refused[0]["level"] == "warning"
    [foreign] = [line for line in said if "evil.example" in line["event"]]
    assert (foreign["level"], "exception" in foreign) == ("warning", False), "anybody can, and it is no error of ours"
    assert sorted(line["event"].split(":")[0] for line in said if line["logger"].endswith(".serve")) == [
        "realtime.W001",
        "realtime.W002",
    ]
    [other] = [line for line in server.log().splitlines() if not line.startswith("{")]
    assert other.startswith("Serving at "), "which is said to whoever started it, and is no log"
    assert all(line.isprintable() for line in access.read_text().split("\n"))
    assert "WSREJECT" in access.read_text()
